//! Values of a history as small numbers: states that hold them stay small.
//!
//! Two values are the same if they are equal as JSON; the order of an object's keys
//! does not matter, and 1.0 is 1. Knows no model.

use rustc_hash::FxHashMap;
use serde_json::Value;

/// A value, interned.
pub type ValueId = u32;

/// The values that a history names.
#[derive(Debug, Clone, Default)]
pub struct Values {
    integers: FxHashMap<i64, ValueId>,
    others: FxHashMap<String, ValueId>,
    shown: Vec<String>,
}

impl Values {
    /// The number of a value; the same for equal values.
    pub fn id(&mut self, value: &Value) -> ValueId {
        if let Some(integer) = value.as_i64() {
            if let Some(&id) = self.integers.get(&integer) {
                return id;
            }
            return self.named(value.to_string());
        }
        self.named(canonical(value))
    }

    fn named(&mut self, text: String) -> ValueId {
        if let Some(&id) = self.others.get(&text) {
            return id;
        }
        let id = self.shown.len() as ValueId;
        self.shown.push(text.clone());
        if let Ok(integer) = text.parse() {
            self.integers.insert(integer, id);
        }
        self.others.insert(text, id);
        id
    }

    /// The value itself, or one that is equal to it.
    pub fn value(&self, id: ValueId) -> Option<Value> {
        serde_json::from_str(self.shown.get(id as usize)?).ok()
    }

    /// How messages show a value.
    pub fn text(&self, id: ValueId) -> &str {
        self.shown.get(id as usize).map_or("?", String::as_str)
    }
}

/// A text that is the same for equal values.
pub(super) fn canonical(value: &Value) -> String {
    match value {
        Value::Number(number) => integral(number).unwrap_or_else(|| number.to_string()),
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Object(fields) => {
            let mut pairs: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), canonical(value)))
                .collect();
            pairs.sort_unstable();
            format!("{{{}}}", pairs.join(","))
        }
        other => other.to_string(),
    }
}

/// A whole number that is written with a fraction of nothing.
fn integral(number: &serde_json::Number) -> Option<String> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let float = number.as_f64().filter(|_| number.is_f64())?;
    (float.fract() == 0.0 && float.abs() < EXACT).then(|| (float as i64).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_one_number_however_they_are_written() {
        let mut values = Values::default();
        let mut id = |text: &str| values.id(&serde_json::from_str(text).unwrap());
        assert_eq!(id("1"), id("1.0"));
        assert_eq!(id(r#"{"a":1,"b":[2]}"#), id(r#"{"b":[2.0],"a":1}"#));
        assert_ne!(id("1"), id("\"1\""));
        assert_ne!(id("null"), id("0"));
        assert_ne!(id("1.5"), id("1"));
        assert_ne!(id("18446744073709551615"), id("-1"));
        assert_eq!(values.text(0), "1");
    }
}
