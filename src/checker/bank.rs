//! The bank as a model: what a transfer does to two balances.
//!
//! Follows section 1 of the design: signed 64-bit money, a guard on the debited
//! account, no wrapping. Pure arithmetic; must not know of histories or search.

use std::str::FromStr;

/// What must hold of the debited balance before a transfer moves money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// `balance > amount`.
    Strict,
    /// `balance >= amount`.
    AtLeast,
    /// Nothing: balances may go below zero.
    None,
}

/// What becomes of a transfer whose amount is below zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Negative {
    /// Applied as written, guard included.
    Allowed,
    /// Has no effect.
    Refused,
}

/// The rules of one bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BankModel {
    /// What every account holds at the start, in money units.
    pub initial: i64,
    /// When a transfer is refused.
    pub guard: Guard,
    /// What a negative amount does.
    pub negative: Negative,
}

impl Default for BankModel {
    fn default() -> Self {
        Self { initial: 100, guard: Guard::Strict, negative: Negative::Allowed }
    }
}

impl BankModel {
    /// Both balances after a transfer between two *different* accounts, or `None`
    /// if it moves nothing: the guard refuses it, or a balance would overflow.
    #[inline]
    pub fn transfer(&self, from: i64, to: i64, amount: i64) -> Option<[i64; 2]> {
        let guarded = match self.guard {
            Guard::Strict => from > amount,
            Guard::AtLeast => from >= amount,
            Guard::None => true,
        };
        if !guarded || !self.effective(amount) {
            return None;
        }
        Some([from.checked_sub(amount)?, to.checked_add(amount)?])
    }

    /// Whether a transfer of this amount between two accounts can ever move money.
    pub fn effective(&self, amount: i64) -> bool {
        amount > 0 || (amount < 0 && self.negative == Negative::Allowed)
    }
}

impl FromStr for BankModel {
    type Err = String;

    /// Parses `bank[:key=value,...]`, such as `bank:initial=100,guard=strict`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, options) = text.split_once(':').unwrap_or((text, ""));
        if name != "bank" {
            return Err(format!("`{name}` is no model; accepted: bank"));
        }
        let mut model = Self::default();
        for option in options.split(',').filter(|option| !option.is_empty()) {
            model.set(option)?;
        }
        Ok(model)
    }
}

impl BankModel {
    fn set(&mut self, option: &str) -> Result<(), String> {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        let bad = |accepted: &str| format!("`{value}` is no {key} of the bank; accepted: {accepted}");
        match key {
            "initial" => self.initial = value.parse().map_err(|_| bad("a signed 64-bit integer"))?,
            "guard" => {
                self.guard = match value {
                    "strict" => Guard::Strict,
                    "at-least" => Guard::AtLeast,
                    "none" => Guard::None,
                    _ => return Err(bad("strict, at-least, none")),
                }
            }
            "negative" => {
                self.negative = match value {
                    "allowed" => Negative::Allowed,
                    "refused" => Negative::Refused,
                    _ => return Err(bad("allowed, refused")),
                }
            }
            _ => return Err(format!("`{key}` is no option of the bank; accepted: initial, guard, negative")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_model_is_parsed_or_refused_with_what_is_accepted() {
        assert_eq!("bank".parse(), Ok(BankModel::default()));
        let model: BankModel = "bank:initial=-3,guard=at-least,negative=refused".parse().unwrap();
        assert_eq!((model.initial, model.guard, model.negative), (-3, Guard::AtLeast, Negative::Refused));
        for bad in ["bnk", "bank:colour=red", "bank:initial=x", "bank:guard=", "bank:initial"] {
            assert!(bad.parse::<BankModel>().unwrap_err().contains("accepted"), "{bad}");
        }
    }

    #[test]
    fn the_guard_is_strict_and_nothing_ever_wraps() {
        let bank = BankModel::default();
        assert_eq!(bank.transfer(100, 100, 99), Some([1, 199]));
        assert_eq!(bank.transfer(100, 100, 100), None);
        assert_eq!(bank.transfer(100, i64::MAX, 1), None);
        assert_eq!(bank.transfer(100, 100, -5), Some([105, 95]));
        assert_eq!(bank.transfer(i64::MAX, 0, -1), None);
    }
}
