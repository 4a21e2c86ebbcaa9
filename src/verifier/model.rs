//! The text of `--model`, understood a second time.
//!
//! Shares no line with the checker's models; two texts that mean the same rules are
//! equal here, however they are written.

use serde_json::Value;

/// A model with its options.
#[derive(Debug, Clone, PartialEq)]
pub enum Model {
    /// The bank.
    Bank(Rules),
    /// Any other, with the value that it begins with (null where it has none).
    Other(Kind, Value),
}

/// The models other than the bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// read, write.
    Register,
    /// read, write, cas.
    CasRegister,
    /// The same for every key.
    Kv,
    /// acquire, release.
    Mutex,
    /// enqueue, dequeue.
    FifoQueue,
    /// add, read of all.
    Set,
    /// add, read of the sum.
    Counter,
}

/// The rules of a bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// What every account begins with.
    pub initial: i64,
    /// The least that must be left in the debited account; `None`: nothing need be.
    pub least_left: Option<u8>,
    /// Whether a transfer of less than 0 moves money.
    pub negative: bool,
}

const NAMES: [(&str, Kind); 7] = [
    ("register", Kind::Register),
    ("cas-register", Kind::CasRegister),
    ("kv", Kind::Kv),
    ("mutex", Kind::Mutex),
    ("fifo-queue", Kind::FifoQueue),
    ("set", Kind::Set),
    ("counter", Kind::Counter),
];

impl Model {
    /// Understands a text such as `bank:initial=100,guard=strict`.
    ///
    /// # Errors
    /// What was found and what is accepted.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, options) = text.split_once(':').unwrap_or((text, ""));
        let options = options.split(',').filter(|option| !option.is_empty());
        let mut options = options.map(|option| option.split_once('=').unwrap_or((option, "")));
        if name == "bank" {
            let mut rules = Rules { initial: 100, least_left: Some(1), negative: true };
            options.try_for_each(|(key, value)| rules.set(key, value))?;
            return Ok(Self::Bank(rules));
        }
        let Some(&(_, kind)) = NAMES.iter().find(|(known, _)| *known == name) else {
            let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            return Err(format!("`{name}` is no model; accepted: bank, {}", names.join(", ")));
        };
        let mut initial = if kind == Kind::Counter { Value::from(0) } else { Value::Null };
        for (key, value) in options {
            initial = kind.initial(name, key, value)?;
        }
        Ok(Self::Other(kind, initial))
    }
}

impl Kind {
    fn initial(self, name: &str, key: &str, value: &str) -> Result<Value, String> {
        let takes = matches!(self, Self::Register | Self::CasRegister | Self::Kv | Self::Counter);
        if !takes || key != "initial" {
            let accepted = if takes { "accepted: initial" } else { "it takes none" };
            return Err(format!("`{key}` is no option of {name}; {accepted}"));
        }
        let parsed = match self {
            Self::Counter => value.parse::<i64>().ok().map(Value::from),
            _ => serde_json::from_str(value).ok(),
        };
        let accepted = if self == Self::Counter { "a signed 64-bit integer" } else { "JSON" };
        parsed.ok_or_else(|| format!("`{value}` is no initial value of {name}; accepted: {accepted}"))
    }
}

impl Rules {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match (key, value) {
            ("initial", number) => {
                self.initial = number.parse().map_err(|_| {
                    format!("`{number}` is no initial of the bank; accepted: a signed 64-bit integer")
                })?;
            }
            ("guard", "strict") => self.least_left = Some(1),
            ("guard", "at-least") => self.least_left = Some(0),
            ("guard", "none") => self.least_left = None,
            ("negative", "allowed") => self.negative = true,
            ("negative", "refused") => self.negative = false,
            _ => {
                return Err(format!(
                    "`{key}={value}` is no option of the bank; accepted: initial=NUMBER, \
                     guard=strict, at-least or none, negative=allowed or refused"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_texts_that_mean_the_same_are_equal() {
        let same = |one: &str, two: &str| Model::parse(one).unwrap() == Model::parse(two).unwrap();
        assert!(same("bank", "bank:guard=strict,initial=100,negative=allowed"));
        assert!(!same("bank", "bank:guard=at-least"));
        assert!(same("counter", "counter:initial=0"));
        assert!(!same("kv", "cas-register"));
        assert!(!same("register:initial=null", "register:initial=0"));
        for bad in ["bnk", "bank:guard=", "bank:initial=x", "mutex:initial=1", "counter:initial=1.5", "set:a"]
        {
            assert!(Model::parse(bad).is_err(), "{bad}");
        }
    }
}
