//! The terms of the bank that the checks beside linearizability need: what an
//! account starts with and when the guard lets money go.
//!
//! Knows the text of `--model` and nothing of histories.

/// What the model's text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Money units of an account that no transfer touched.
    pub initial: i64,
    /// When a transfer moves money.
    pub guard: Guard,
}

/// When a transfer moves money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// `balance > amount`.
    Strict,
    /// `balance >= amount`.
    AtLeast,
    /// Always.
    None,
}

impl Guard {
    /// Whether `amount` leaves an account that holds `balance`.
    pub fn lets(self, balance: i64, amount: i64) -> bool {
        match self {
            Self::Strict => balance > amount,
            Self::AtLeast => balance >= amount,
            Self::None => true,
        }
    }
}

impl Terms {
    /// Reads `bank[:initial=N][,guard=strict|at-least|none]`.
    ///
    /// # Errors
    /// In words, what was found and what is accepted.
    pub fn parse(model: &str) -> Result<Self, String> {
        let (name, options) = model.split_once(':').unwrap_or((model, ""));
        if name != "bank" {
            return Err(format!("the model `{name}` is no bank"));
        }
        let mut terms = Self { initial: 100, guard: Guard::Strict };
        options.split(',').filter(|option| !option.is_empty()).try_for_each(|option| terms.set(option))?;
        Ok(terms)
    }

    fn set(&mut self, option: &str) -> Result<(), String> {
        match option.split_once('=') {
            Some(("initial", number)) => {
                self.initial = number.parse().map_err(|_| format!("`{number}` is no 64-bit integer"))?;
            }
            Some(("guard", "strict")) => self.guard = Guard::Strict,
            Some(("guard", "at-least")) => self.guard = Guard::AtLeast,
            Some(("guard", "none")) => self.guard = Guard::None,
            _ => {
                return Err(format!(
                    "`{option}` is unknown; accepted: initial=N, guard=strict|at-least|none"
                ));
            }
        }
        Ok(())
    }

    /// The least balance that transfers of non-negative amounts can leave, where
    /// the guard sets one.
    pub fn floor(self) -> Option<i64> {
        match self.guard {
            Guard::Strict => Some(self.initial.min(1)),
            Guard::AtLeast => Some(self.initial.min(0)),
            Guard::None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_the_model_gives_the_terms() {
        let cases = [
            ("bank", Some((100, Guard::Strict))),
            ("bank:initial=5", Some((5, Guard::Strict))),
            ("bank:initial=-7,guard=none", Some((-7, Guard::None))),
            ("bank:guard=at-least", Some((100, Guard::AtLeast))),
            ("bank:gard=none", None),
            ("bank:initial=x", None),
            ("register", None),
        ];
        for (text, expected) in cases {
            let found = Terms::parse(text).ok().map(|terms| (terms.initial, terms.guard));
            assert_eq!(found, expected, "{text}");
        }
    }
}
