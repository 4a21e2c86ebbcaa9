//! A forced cycle is a proof: wherever one is found, the exact search finds no
//! order either. The two share nothing but the rules of the bank.

use rsm_check::checker::bank::BankModel;
use rsm_check::checker::cycle;
use rsm_check::checker::linearizability::{Budget, Outcome, check};
use rsm_check::history::History;
use rsm_check::history::read::read;
use rsm_check::plan::rng::{Purpose, Rng};

const ACCOUNTS: [&str; 3] = ["a", "b", "c"];

/// A small concurrent history of a right bank, then perhaps one wrong balance.
fn history(rng: &mut Rng) -> History {
    let mut balances = [100i64; 3];
    let mut lines = Vec::new();
    let mut open: Vec<(u64, String)> = Vec::new();
    let mut process = 0;
    while process < 9 || !open.is_empty() {
        if process < 9 && (open.is_empty() || rng.below(2) == 0) {
            let (call, result) = operate(rng, &mut balances);
            lines.push(format!(r#""process":{process},"type":"invoke",{call}}}"#));
            open.push((process, result));
            process += 1;
        } else {
            let (process, result) = open.swap_remove(rng.below(open.len() as u64) as usize);
            let lost = rng.below(12) == 0;
            let (kind, result) = if lost { ("info", "\"value\":null".into()) } else { ("ok", result) };
            lines.push(format!(r#""process":{process},"type":"{kind}","f":"transfer",{result}}}"#));
        }
    }
    let lines = (0..).zip(lines).map(|(at, rest)| format!("{{\"index\":{at},\"time\":{at},{rest}\n"));
    read(lines.collect::<String>().as_bytes()).expect("the generator writes histories")
}

/// One transfer, applied at its invocation; the reply is wrong now and then.
fn operate(rng: &mut Rng, balances: &mut [i64; 3]) -> (String, String) {
    let from = rng.below(3) as usize;
    let to = (from + 1 + rng.below(2) as usize) % 3;
    let amount = rng.between(0, 20) * 5;
    if balances[from] > amount {
        balances[from] -= amount;
        balances[to] += amount;
    }
    let mut told = [balances[from], balances[to]];
    if rng.below(10) == 0 {
        let off = 5 * rng.between(-2, 2);
        told = [told[0] + off, told[1] - off];
    }
    let value = format!(r#""from":"{}","to":"{}","amount":{amount}"#, ACCOUNTS[from], ACCOUNTS[to]);
    let call = format!(r#""f":"transfer","value":{{{value}}}"#);
    (call, format!(r#""value":{{{value},"balances":[{},{}]}}"#, told[0], told[1]))
}

#[test]
fn wherever_a_cycle_is_forced_the_exact_search_finds_no_order() {
    let (model, budget) = (BankModel::default(), Budget::default());
    let mut rng = Rng::new(1, Purpose::Operations(0));
    let (mut cycles, mut violations) = (0, 0);
    for number in 0..4000 {
        let history = history(&mut rng);
        let violated = matches!(check(&history, &model, &[], &budget), Outcome::Violation(_));
        violations += u32::from(violated);
        if let Some(proof) = cycle::explain(&history, &model, &[]) {
            cycles += 1;
            assert!(violated, "history {number}: {proof:#?}\n{history:#?}");
            assert!(proof.last().unwrap().ends_with("a contradiction"));
        }
    }
    assert!(cycles > 100, "only {cycles} cycles in {violations} violations: the test shows nothing");
}
