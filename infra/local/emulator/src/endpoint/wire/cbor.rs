//! Smithy RPC v2 over CBOR, in which the AWS SDK for Rust speaks to CloudWatch. A document is carried to and from
//! JSON; what JSON has no type for is a timestamp (tag 1), so the members that are timestamps are known by name.

use bytes::Bytes;
use http::Response;
use minicbor::{
    data::{IanaTag, Type},
    decode::{Decoder, Error},
    encode::{Encoder, write::Write},
};
use serde_json::{Map, Value};

use super::{json, malformed, response};
use crate::error::AwsError;

/// How deep a document may nest.
const DEPTH: usize = 32;

/// CloudWatch's members that are timestamps.
pub(super) const TIMESTAMPS: [&str; 4] = ["StartTime", "EndTime", "Timestamp", "Timestamps"];

pub(super) fn decode(path: &str, body: &Bytes) -> Result<(String, String, Value), AwsError> {
    let mut parts = path.trim_matches('/').split('/');
    let (Some("service"), Some(service), Some("operation"), Some(operation)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed("the path is not /service/NAME/operation/NAME"));
    };
    let service = if service == "GraniteServiceVersion20100801" { "monitoring" } else { service };
    let input = if body.is_empty() {
        Value::Object(Map::new())
    } else {
        value(&mut Decoder::new(body), DEPTH).map_err(malformed)?
    };
    if !input.is_object() {
        return Err(malformed("the input must be a map"));
    }
    Ok((service.to_owned(), operation.to_owned(), input))
}

pub(super) fn encode(answer: Result<Value, AwsError>) -> Response<Bytes> {
    let mut headers = vec![("smithy-protocol", "rpc-v2-cbor".to_owned())];
    let (status, document) = match answer {
        Ok(Value::Null) => (200, Value::Object(Map::new())),
        Ok(output) => (200, output),
        Err(error) => {
            headers.push(("x-amzn-errortype", error.code.clone()));
            headers.push(("x-amzn-query-error", json::query_error("monitoring", &error)));
            (error.status, json::error_body(&error))
        }
    };
    let mut encoder = Encoder::new(Vec::new());
    // Writing to a Vec can't fail.
    let _ = write(&mut encoder, &document, false);
    response(status, "application/cbor", &headers, encoder.into_writer())
}

fn value(decoder: &mut Decoder<'_>, depth: usize) -> Result<Value, Error> {
    if depth == 0 {
        return Err(Error::message("the document nests too deeply"));
    }
    Ok(match decoder.datatype()? {
        Type::Bool => decoder.bool()?.into(),
        Type::Null | Type::Undefined => {
            decoder.skip()?;
            Value::Null
        }
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => decoder.u64()?.into(),
        Type::I8 | Type::I16 | Type::I32 | Type::I64 => decoder.i64()?.into(),
        Type::F16 => f64::from(decoder.f16()?).into(),
        Type::F32 => f64::from(decoder.f32()?).into(),
        Type::F64 => decoder.f64()?.into(),
        Type::String | Type::StringIndef => decoder.str_iter()?.collect::<Result<Vec<&str>, Error>>()?.concat().into(),
        Type::Bytes | Type::BytesIndef => {
            let bytes = decoder.bytes_iter()?.collect::<Result<Vec<&[u8]>, Error>>()?.concat();
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes).into()
        }
        Type::Tag => {
            decoder.tag()?;
            value(decoder, depth - 1)?
        }
        Type::Array | Type::ArrayIndef => array(decoder, depth)?,
        Type::Map | Type::MapIndef => map(decoder, depth)?,
        other => return Err(Error::type_mismatch(other)),
    })
}

fn array(decoder: &mut Decoder<'_>, depth: usize) -> Result<Value, Error> {
    let mut remaining = decoder.array()?;
    let mut items = Vec::new();
    while more(decoder, &mut remaining)? {
        items.push(value(decoder, depth - 1)?);
    }
    Ok(Value::Array(items))
}

fn map(decoder: &mut Decoder<'_>, depth: usize) -> Result<Value, Error> {
    let mut remaining = decoder.map()?;
    let mut members = Map::new();
    while more(decoder, &mut remaining)? {
        let key = decoder.str_iter()?.collect::<Result<Vec<&str>, Error>>()?.concat();
        members.insert(key, value(decoder, depth - 1)?);
    }
    Ok(Value::Object(members))
}

/// Whether another item follows, in a collection of known length or of one that a break ends.
fn more(decoder: &mut Decoder<'_>, remaining: &mut Option<u64>) -> Result<bool, Error> {
    match remaining {
        Some(0) => Ok(false),
        Some(left) => {
            *left -= 1;
            Ok(true)
        }
        None if decoder.datatype()? == Type::Break => {
            decoder.skip()?;
            Ok(false)
        }
        None => Ok(true),
    }
}

fn write<W: Write>(
    encoder: &mut Encoder<W>,
    value: &Value,
    timestamp: bool,
) -> Result<(), minicbor::encode::Error<W::Error>> {
    match value {
        Value::Null => encoder.null()?,
        Value::Bool(value) => encoder.bool(*value)?,
        Value::String(value) => encoder.str(value)?,
        Value::Number(number) => {
            if timestamp {
                encoder.tag(IanaTag::Timestamp)?;
            }
            match (number.as_u64(), number.as_i64()) {
                (Some(value), _) => encoder.u64(value)?,
                (None, Some(value)) => encoder.i64(value)?,
                (None, None) => encoder.f64(number.as_f64().unwrap_or_default())?,
            }
        }
        Value::Array(items) => {
            encoder.array(items.len() as u64)?;
            for item in items {
                write(encoder, item, timestamp)?;
            }
            encoder
        }
        Value::Object(members) => {
            encoder.map(members.len() as u64)?;
            for (key, member) in members {
                encoder.str(key)?;
                write(encoder, member, TIMESTAMPS.contains(&key.as_str()))?;
            }
            encoder
        }
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_survives_the_way_there_and_back() {
        let document = json!({"Sum": 5.0, "Count": 3, "Below": -2, "Timestamps": [1.5, 2], "Name": "ü", "None": null});
        let answer = encode(Ok(document.clone()));
        let (_, _, again) = decode("/service/Granite/operation/X", answer.body()).unwrap();
        assert_eq!(again, document);
    }

    #[test]
    fn timestamps_carry_tag_one() {
        let answer = encode(Ok(json!({"Timestamp": 1})));
        assert_eq!(answer.body()[answer.body().len() - 2], 0xc1);
    }

    #[test]
    fn hostile_bytes_are_refused() {
        for bytes in [&[0x81_u8; 100][..], &[0xff], &[0xbf, 0x61], &[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]] {
            let refused = decode("/service/Granite/operation/X", &Bytes::copy_from_slice(bytes)).unwrap_err();
            assert_eq!(refused.code, "SerializationException");
        }
    }
}
