//! Answers of the services that speak CBOR, such as CloudWatch.

use aws_smithy_cbor::Encoder;
use aws_smithy_types::DateTime;
use serde_json::Value;

/// `answer` in CBOR. Whole numbers in a member whose name begins with `Timestamp` are times, in seconds.
pub(crate) fn encode(answer: &Value) -> Vec<u8> {
    with(Encoder::new(Vec::new()), answer, false).into_writer()
}

fn with(mut encoder: Encoder, value: &Value, is_time: bool) -> Encoder {
    match value {
        Value::Null => {
            encoder.null();
        }
        Value::Bool(truth) => {
            encoder.boolean(*truth);
        }
        Value::String(text) => {
            encoder.str(text);
        }
        Value::Number(number) => match number.as_i64() {
            Some(second) if is_time => {
                encoder.timestamp(&DateTime::from_secs(second));
            }
            Some(whole) => {
                encoder.long(whole);
            }
            None => {
                encoder.double(number.as_f64().expect("JSON has no other numbers"));
            }
        },
        Value::Array(items) => {
            encoder.array(items.len());
            return items.iter().fold(encoder, |encoder, item| with(encoder, item, is_time));
        }
        Value::Object(members) => {
            encoder.map(members.len());
            return members.iter().fold(encoder, |mut encoder, (name, value)| {
                encoder.str(name);
                with(encoder, value, name.starts_with("Timestamp"))
            });
        }
    }
    encoder
}
