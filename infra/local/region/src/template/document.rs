//! YAML with CloudFormation's tags, as JSON with its functions in the long form: `!Ref X` becomes `{"Ref": "X"}`,
//! `!GetAtt A.Arn` becomes `{"Fn::GetAtt": ["A", "Arn"]}`, and any other `!Name` becomes `{"Fn::Name": …}`.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};

use super::TemplateError;

/// Reads a template's text.
///
/// # Errors
/// If the text is not one YAML document that is a mapping.
pub fn read(text: &str) -> Result<Map<String, Value>, TemplateError> {
    let documents = Yaml::load_from_str(text).map_err(|error| TemplateError::Unreadable(error.to_string()))?;
    let [document] = documents.as_slice() else {
        return Err(TemplateError::Unreadable(format!("it holds {} documents instead of one", documents.len())));
    };
    match convert(document)? {
        Value::Object(members) => Ok(members),
        other => Err(TemplateError::Unreadable(format!("it should be a mapping, but is {other}"))),
    }
}

fn convert(node: &Yaml<'_>) -> Result<Value, TemplateError> {
    Ok(match node {
        Yaml::Value(scalar) => convert_scalar(scalar),
        Yaml::Sequence(items) => Value::Array(items.iter().map(convert).collect::<Result<_, _>>()?),
        Yaml::Mapping(members) => {
            let mut object = Map::new();
            for (key, value) in members {
                object.insert(key_text(key)?, convert(value)?);
            }
            Value::Object(object)
        }
        Yaml::Tagged(tag, inner) => apply_tag(&tag.suffix, convert(inner)?),
        Yaml::Representation(text, ..) => Value::String(text.to_string()),
        Yaml::Alias(_) | Yaml::BadValue => {
            return Err(TemplateError::Unreadable("it holds a value that YAML doesn't allow".to_owned()));
        }
    })
}

fn convert_scalar(scalar: &Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => Value::Bool(*value),
        Scalar::Integer(value) => json!(value),
        Scalar::FloatingPoint(value) => json!(value.into_inner()),
        Scalar::String(value) => Value::String(value.to_string()),
    }
}

fn key_text(key: &Yaml<'_>) -> Result<String, TemplateError> {
    match convert(key)? {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(value) => Ok(value.to_string()),
        other => Err(TemplateError::Unreadable(format!("the key {other} is not a text"))),
    }
}

fn apply_tag(tag: &str, value: Value) -> Value {
    match (tag, value) {
        ("Ref" | "Condition", value) => json!({ tag: value }),
        ("GetAtt", Value::String(path)) => match path.split_once('.') {
            Some((resource, attribute)) => json!({ "Fn::GetAtt": [resource, attribute] }),
            None => json!({ "Fn::GetAtt": [path] }),
        },
        (_, value) => {
            let mut object = Map::new();
            object.insert(format!("Fn::{tag}"), value);
            Value::Object(object)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_tags_become_the_long_form() {
        let text = "a: !Ref Table\nb: !GetAtt Queue.Arn\nc: !If [Own, !Sub '${X}/y', 7]\nd: !Condition Own\n";
        let expected = json!({
            "a": { "Ref": "Table" },
            "b": { "Fn::GetAtt": ["Queue", "Arn"] },
            "c": { "Fn::If": ["Own", { "Fn::Sub": "${X}/y" }, 7] },
            "d": { "Condition": "Own" },
        });
        assert_eq!(Value::Object(read(text).unwrap()), expected);
    }

    #[test]
    fn broken_yaml_is_refused_with_its_place() {
        let error = read("a: [1, 2\nb: 3\n").unwrap_err().to_string();
        assert!(error.contains("line"), "{error}");
    }
}
