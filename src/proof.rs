//! Evidence for a verdict about linearizability, as plain data: an order that
//! explains a history, or a small part of it that no order explains.
//!
//! Written by `checker`, taken in by whoever verifies it without trusting the
//! search: [`Proof`] is what `proof.json` holds. Must not know how a proof is
//! found, nor where it lies. [`Sealed`] is a proof that was read and not yet opened:
//! nothing in it is believed before it is known to be about the history at hand. Operations are named by their number: the position
//! among all operations in the order of their invocation lines, counted from 0;
//! final files follow after the last operation, in the order of replicas.

mod codec;
mod order;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

pub use order::{HEAD, OrderReader, OrderWriter};

/// The version of the format that this build writes, and the only one it reads.
pub const VERSION: u32 = 1;

/// What `proof.json` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// [`VERSION`].
    pub version: u32,
    /// The model, as `--model` takes it.
    pub model: String,
    /// Which history it is about.
    #[serde(flatten)]
    pub about: About,
    /// What is claimed.
    #[serde(flatten)]
    pub claim: Claim,
}

/// What tells one judged history from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct About {
    /// Operations of the history that was judged.
    pub operations: usize,
    /// Final files that were judged as last reads.
    pub finals: usize,
    /// CRC-32 of both, eight hexadecimal digits (`history::fingerprint`). It guards
    /// against mistakes, not against malice.
    pub fingerprint: String,
}

/// What is claimed of a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Claim {
    /// These orders, one for each part of the history that touches no other (the
    /// bank has one part), explain everything. An indeterminate operation that is
    /// not listed did not happen.
    Witness(Orders),
    /// No order explains this core, so none explains the history.
    Core(Core),
}

/// Orders of operation numbers, first to last; written as one text each (`codec`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Orders(pub Vec<Vec<u32>>);

/// An order of operation numbers as one text (`codec`), for whoever keeps it beside
/// other things. How much may be unpacked is said when it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct PackedOrder(String);

impl PackedOrder {
    /// Packs an order.
    pub fn pack(order: &[u32]) -> Self {
        Self(codec::encode(order))
    }

    /// Unpacks it.
    ///
    /// # Errors
    /// It is packed in no known way, or holds more than `most` numbers.
    pub fn unpack(&self, most: usize) -> Result<Vec<u32>, String> {
        let order = codec::decode_all(std::slice::from_ref(&self.0), most)?.pop().unwrap_or_default();
        if order.len() > most { Err(format!("more than {most} operations")) } else { Ok(order) }
    }
}

impl Serialize for Orders {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|order| codec::encode(order)))
    }
}

/// A proof as it was read: its orders are still packed, since how much may be
/// unpacked depends on the history that it is about.
#[derive(Debug, Clone, Deserialize)]
pub struct Sealed {
    /// The model that the proof is about, as `--model` takes it.
    pub model: String,
    operations: usize,
    finals: usize,
    fingerprint: String,
    witness: Option<Vec<String>>,
    core: Option<Core>,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl Proof {
    /// A proof of this claim.
    pub fn new(model: &str, about: About, claim: Claim) -> Self {
        Self { version: VERSION, model: model.into(), about, claim }
    }

    /// The bytes of `proof.json`.
    ///
    /// # Errors
    /// It cannot be written as JSON; never seen.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let mut json = serde_json::to_vec(self)?;
        json.push(b'\n');
        Ok(json)
    }
}

impl Sealed {
    /// Takes in the bytes of a `proof.json`.
    ///
    /// # Errors
    /// They are no proof of a version that is known, in words.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let no_proof = |why: serde_json::Error| format!("no proof: {why}");
        let Version { version } = serde_json::from_slice(bytes).map_err(no_proof)?;
        if version != VERSION {
            return Err(format!("`version` is {version}; this rsm-check reads version {VERSION}"));
        }
        serde_json::from_slice(bytes).map_err(no_proof)
    }

    /// Opens it, if it is about this history.
    ///
    /// # Errors
    /// It is about another one, claims nothing or two things, or an order is packed
    /// in no known way; in words.
    pub fn open(self, about: &About) -> Result<Proof, String> {
        let meant = About { operations: self.operations, finals: self.finals, fingerprint: self.fingerprint };
        if meant != *about {
            return Err(format!(
                "the proof is about another history: {}, not {}",
                named(&meant),
                named(about)
            ));
        }
        let claim = match (self.witness, self.core) {
            (Some(packed), None) => {
                Claim::Witness(Orders(codec::decode_all(&packed, meant.operations + meant.finals)?))
            }
            (None, Some(core)) => Claim::Core(core),
            _ => return Err("a proof holds either `witness` or `core`".into()),
        };
        Ok(Proof { version: VERSION, model: self.model, about: meant, claim })
    }
}

fn named(about: &About) -> String {
    let About { operations, finals, fingerprint } = about;
    let shown: String = fingerprint.chars().take(16).flat_map(char::escape_debug).collect();
    format!("{operations} operations and {finals} final files with fingerprint {shown}")
}

/// A set of constraints of a history that no order meets.
///
/// It is weaker than the history: every order that explains the history would meet
/// all of it. An operation that is not listed asks for nothing: it certainly did not
/// happen, or it only observes, or it is invoked after the last one that must have
/// taken place has returned, or it returned before [`cut`](Core::cut). An operation
/// with an effect that may matter is always listed, at least as
/// [`Demand::MayHaveHappened`].
///
/// Final files are read at a line of their own, one after the last line of an
/// operation, and return one line later; a cut may lie there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Core {
    /// The part of the history it is about, as the model numbers parts; 0 for the bank.
    #[serde(default)]
    pub part: u64,
    /// Lines of the history with a lesser `index` are replaced by [`start`](Core::start);
    /// 0: nothing is replaced, and `start` is empty.
    pub cut: u64,
    /// Ways in which things can stand at the cut: of each order of operations invoked
    /// before it that respects real time, holds all that returned before it, and in
    /// which each has the result that it told, be it after the cut. Each such way is a
    /// start, or some start becomes it by operations that are open at the cut (invoked
    /// before it and not returned by then, or never): by just those that had taken effect
    /// in it and not in the start, of which one with an unknown outcome may be left out.
    /// So one start stands for all that it leads to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub start: Vec<Start>,
    /// What is demanded, by number of operation, ascending.
    pub constraints: Vec<Constraint>,
}

/// One way in which things can stand at a cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The state: for the bank an object of account names and balances (an account
    /// that is missing holds the initial balance), for other models what their
    /// notation tells.
    pub state: Value,
    /// Operations invoked before the cut and not returned by then (or never) that
    /// have taken effect, ascending. The other ones have not. What is demanded of
    /// one of these is met. One that only observes and told nothing is never here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub happened: Vec<u32>,
}

/// One operation of a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constraint {
    /// Its number.
    pub operation: u32,
    /// What is demanded of it.
    pub demand: Demand,
}

/// What a core demands of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Demand {
    /// It takes place between its invocation and its completion, with its result.
    Explained,
    /// It takes place, with its effect, between its invocation and its completion;
    /// what it observed does not count.
    HappenedInTime,
    /// It may have happened at any time after its invocation, or never.
    MayHaveHappened,
}
