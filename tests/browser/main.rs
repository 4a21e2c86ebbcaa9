//! The page as its readers use it: real reports in a real browser, opened from a file,
//! clicked, searched and zoomed. Any complaint on the console and any request to
//! anything but the file itself is a failure.

mod chrome;
#[path = "../support/mod.rs"]
mod support;

use std::fmt::Write;
use std::path::Path;

use chrome::Chrome;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Bench, eventually, project};

/// The replicas of a quiet run that lasts half a second.
const QUIET: &str = r#"{"name":"quiet","duration":"500ms","seed":1,"cluster":{"edition":"classic"},
    "clients":{"count":4,"rate":100},"checks":{"minimum_acknowledged":MINIMUM}}"#;

fn quiet(bench: &Bench, minimum: &str, exit: i32) {
    let workload = bench.workload(&QUIET.replace("MINIMUM", minimum));
    bench.run(&workload, &["--quiet"]).exits(exit);
}

fn open(bench: &Bench) -> Option<Chrome> {
    Chrome::open(&bench.run_dir().join("report.html"))
}

fn edit(path: &Path, change: impl FnOnce(String) -> String) {
    let text = std::fs::read_to_string(path).unwrap();
    std::fs::write(path, change(text)).unwrap();
}

/// Judges and draws again what the directory holds by now.
fn judge_again(bench: &Bench) {
    edit(&bench.run_dir().join("run.json"), |text| {
        let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
        record.as_object_mut().unwrap().remove("judgement").expect("it was judged");
        record.to_string()
    });
    bench.output(&["report", bench.run_dir().to_str().unwrap()]).exits(0);
}

/// Goes to the first violation by its button.
fn jump(chrome: &mut Chrome) {
    let view = "document.querySelector('#chart').dataset.from + ' ' + document.querySelector('#chart').dataset.until";
    let before = chrome.eval(view);
    chrome.click("#next-violation");
    chrome.until("the view has moved", &format!("{view} !== {before}"));
    let status = chrome.text("#status");
    assert!(status.starts_with("Violation 1 of "), "{status}");
}

#[test]
fn a_pass_can_be_zoomed_searched_and_clicked() {
    let bench = Bench::new();
    quiet(&bench, "10", 0);
    let Some(mut chrome) = open(&bench) else { return };
    assert_eq!(chrome.text(".verdict"), "pass");
    assert_eq!(chrome.eval("document.querySelector('#next-violation').disabled"), true);
    let width =
        "document.querySelector('#chart').dataset.until - document.querySelector('#chart').dataset.from";
    let all = chrome.eval(width).as_f64().unwrap();
    chrome.click("#zoom-in");
    chrome.until("the button has zoomed", &format!("{width} < {all} * 0.6 || {width}"));
    chrome.click("#chart");
    chrome.press("+");
    chrome.until("the key has zoomed", &format!("{width} < {all} * 0.4 || {width}"));
    chrome.wheel("#chart", -400);
    chrome.until("the wheel has zoomed", &format!("{width} < {all} * 0.2 || {width}"));
    chrome.press("0");
    chrome.until("all is shown again", &format!("{width} >= {all} || {width}"));
    chrome.press("/");
    chrome.write("outcome:ok a");
    chrome.until(
        "something was found",
        "/^[1-9]\\d* found$/.test(document.querySelector('#count').textContent)",
    );
    chrome.press("Enter");
    chrome.until("it is pinned", "document.querySelector('#pinned h3') !== null");
    let pinned = chrome.text("#pinned");
    assert!(
        pinned.contains("acknowledged") && pinned.contains("In the order that explains everything"),
        "{pinned}"
    );
    assert!(chrome.eval("document.querySelector('#pinned li.here') !== null").as_bool().unwrap());
    chrome.assert_clean();
}

#[test]
fn a_divergence_is_explained_and_its_moment_is_found_in_the_timeline() {
    let bench = Bench::new();
    bench.run(&project("workloads/classic_kill.json"), &["--quiet"]).exits(1);
    let Some(mut chrome) = open(&bench) else { return };
    assert_eq!(chrome.text(".verdict"), "violation");
    assert!(chrome.text(".sentence").contains("differs from"), "{}", chrome.text(".sentence"));
    assert!(chrome.text("#again").starts_with("rsm-check run "));
    assert!(chrome.text("#coverage").contains("kill"));
    let why = chrome.text("#why-replicas-identical");
    for part in ["during the kill of srv-", "Messages on the wire", "side by side", "lines that srv-"] {
        assert!(why.contains(part), "{part}: {why}");
    }
    assert!(!why.contains("caused"), "{why}");
    assert!(chrome.eval("document.querySelectorAll('svg.wire .message').length").as_u64().unwrap() > 5);
    jump(&mut chrome);
    chrome.click(".card button[data-moment]");
    chrome.until(
        "the timeline has the focus",
        "document.activeElement.id === 'chart' || document.activeElement.outerHTML",
    );
    chrome.assert_clean();
}

/// The run is real, the loss is made: what all replicas hold is put back by one transfer.
#[test]
fn a_lost_acknowledged_transfer_is_named_and_can_be_looked_at() {
    let bench = Bench::new();
    quiet(&bench, "10", 0);
    let history = bench.history();
    let last = history
        .lines()
        .rfind(|line| line.contains(r#""type":"ok""#) && !line.contains(r#""amount":0,"#))
        .unwrap();
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    let (value, account) = (&last["value"], last["value"]["to"].as_str().unwrap());
    let told = value["balances"][1].as_i64().unwrap();
    for node in 1..=3 {
        let file = bench.run_dir().join(format!("nodes/srv-{node}/data/balances.txt"));
        edit(&file, |text| {
            text.replace(&format!("\n{account} {told}\n"), &format!("\n{account} {}\n", told - 1))
        });
    }
    judge_again(&bench);
    let Some(mut chrome) = open(&bench) else { return };
    assert_eq!(chrome.text(".verdict"), "violation");
    let link = "#why a[data-op]";
    let named = chrome.text(link);
    chrome.eval("document.querySelectorAll('#why details').forEach((d) => { d.open = true; })");
    chrome.click(link);
    chrome.until("the operation is pinned", "document.querySelector('#pinned h3') !== null");
    assert!(chrome.text("#pinned h3").contains(named.as_str()), "{named}");
    jump(&mut chrome);
    chrome.assert_clean();
}

#[test]
fn an_interrupted_run_is_drawn_with_what_it_has() {
    let bench = Bench::new();
    let text = QUIET.replace("500ms", "10m").replace("MINIMUM", "10");
    let mut harness = bench.start(&bench.workload(&text));
    eventually("operations are acknowledged", || {
        let count = bench.history().matches(r#""type":"ok""#).count();
        if count > 20 { Ok(()) } else { Err(format!("{count} so far")) }
    });
    kill(Pid::from_raw(harness.id() as i32), Signal::SIGINT).unwrap();
    harness.wait().unwrap();
    let Some(mut chrome) = open(&bench) else { return };
    assert!(chrome.text(".card").contains("did not go through all its phases"), "{}", chrome.text(".card"));
    assert!(chrome.text("#status").contains("operations begin here"));
    chrome.assert_clean();
}

#[test]
fn an_undecided_run_is_drawn_and_says_why_it_is_undecided() {
    let bench = Bench::new();
    quiet(&bench, "100000", 3);
    let Some(mut chrome) = open(&bench) else { return };
    assert_eq!(chrome.text(".verdict"), "undecided");
    assert!(chrome.text("#why-assumptions").contains("100000"), "{}", chrome.text("#why-assumptions"));
    chrome.assert_clean();
}

/// A quiet run's beginning and end with so many operations between them.
fn many(history: &str, count: u64) -> String {
    let client = |line: &str| !line.contains(r#""process":"cluster""#);
    let lines: Vec<&str> = history.lines().collect();
    let (first, last) = (
        lines.iter().position(|line| client(line)).unwrap(),
        lines.iter().rposition(|line| client(line)).unwrap(),
    );
    let mut text = lines[..first].join("\n") + "\n";
    let before: serde_json::Value = serde_json::from_str(lines[first - 1]).unwrap();
    let (mut index, mut time) = (first, before["time"].as_u64().unwrap());
    let mut balances = [100_i64, 100];
    for at in 0..count {
        let (from, to) = if at % 2 == 0 { (0, 1) } else { (1, 0) };
        balances[from] -= 1;
        balances[to] += 1;
        let value = format!(r#""from":"{}","to":"{}","amount":1"#, ["a", "b"][from], ["a", "b"][to]);
        let head = |index, time, kind| {
            format!(
                r#"{{"index":{index},"time":{time},"process":{},"type":"{kind}","f":"transfer","value":{{{value}"#,
                at % 8
            )
        };
        let took = 20_000 + at * 7919 % 60_000;
        writeln!(text, "{}}}}}", head(index, time, "invoke")).unwrap();
        let told = [balances[from], balances[to]];
        writeln!(text, "{},\"balances\":[{},{}]}}}}", head(index + 1, time + took, "ok"), told[0], told[1])
            .unwrap();
        (index, time) = (index + 2, time + took + 10_000);
    }
    for line in &lines[last + 1..] {
        let mut event: serde_json::Value = serde_json::from_str(line).unwrap();
        time += 1_000_000;
        (event["index"], event["time"]) = (index.into(), time.into());
        writeln!(text, "{event}").unwrap();
        index += 1;
    }
    text
}

#[test]
fn a_hundred_thousand_operations_fit_into_five_megabytes_and_can_be_searched() {
    let bench = Bench::new();
    quiet(&bench, "10", 0);
    edit(&bench.run_dir().join("history.jsonl"), |text| many(&text, 100_000));
    judge_again(&bench);
    let size = std::fs::metadata(bench.run_dir().join("report.html")).unwrap().len();
    assert!(size < 5_000_000, "{size} bytes");
    let Some(mut chrome) = open(&bench) else { return };
    // The files are those of another history: something to jump to.
    assert_eq!(chrome.text(".verdict"), "violation");
    assert!(chrome.text("#status").contains("100000 of 100000"), "{}", chrome.text("#status"));
    chrome.click("#search");
    chrome.write("p:3");
    chrome.until("an eighth is found", "document.querySelector('#count').textContent === '12500 found'");
    chrome.press("Enter");
    chrome.until("one is pinned", "/Process3,/.test(document.querySelector('#pinned').textContent)");
    jump(&mut chrome);
    chrome.assert_clean();
}

#[test]
fn no_name_and_no_log_line_becomes_a_script() {
    const NAME: &str = "</script><script>window.broken=1</script><img/src=x/onerror=window.broken=1>";
    let bench = Bench::new();
    bench.run(&project("workloads/classic_kill.json"), &["--quiet"]).exits(1);
    edit(&bench.run_dir().join("history.jsonl"), |text| text.replace(r#""a""#, &format!("\"{NAME}\"")));
    for node in ["coord", "srv-1", "srv-2", "srv-3"] {
        edit(&bench.run_dir().join(format!("nodes/{node}/output.log")), |text| {
            format!("{text}</pre>{NAME}\n")
        });
    }
    judge_again(&bench);
    let Some(mut chrome) = open(&bench) else { return };
    chrome.click("#search");
    chrome.write("onerror");
    chrome.press("Enter");
    chrome.until("an operation with that name is pinned", "document.querySelector('#pinned h3') !== null");
    assert!(chrome.text("#pinned").contains("onerror"), "{}", chrome.text("#pinned"));
    assert!(chrome.text("#logs").contains(NAME), "{}", chrome.text("#logs"));
    assert_eq!(
        chrome.eval(
            "window.broken === undefined && document.images.length === 0 && document.scripts.length === 2"
        ),
        true
    );
    chrome.assert_clean();
}

/// Figures for docs/benchmarks-report.md: nothing here is judged.
#[test]
#[ignore = "a measurement: cargo test --release --test browser -- --ignored --nocapture"]
fn how_large_the_page_is_how_soon_it_answers_and_how_long_it_draws() {
    let repeats = 9;
    for count in [10_000, 100_000, 1_000_000, 3_000_000] {
        let bench = Bench::new();
        quiet(&bench, "10", 0);
        edit(&bench.run_dir().join("history.jsonl"), |text| many(&text, count));
        judge_again(&bench);
        let report = bench.run_dir().join("report.html");
        let size = std::fs::metadata(&report).unwrap().len();
        let (mut ready, mut took) = (Vec::new(), Vec::new());
        for _ in 0..repeats {
            let Some(mut chrome) = Chrome::open(&report) else { return };
            let figure = |chrome: &mut Chrome, of: &str| {
                chrome.eval(of).as_str().and_then(|text| text.parse::<f64>().ok()).unwrap()
            };
            ready.push(figure(&mut chrome, "document.documentElement.dataset.ready"));
            for press in ["+", "+", "ArrowRight", "+", "ArrowRight", "-", "-", "ArrowLeft", "-", "0"] {
                chrome.click("#chart");
                chrome.press(press);
                took.push(figure(&mut chrome, "document.querySelector('#chart').dataset.took"));
            }
        }
        let sorted = |figures: &mut Vec<f64>| figures.sort_by(f64::total_cmp);
        sorted(&mut ready);
        sorted(&mut took);
        let at = |figures: &[f64], part: f64| figures[((figures.len() - 1) as f64 * part) as usize];
        println!(
            "{count} operations: {size} bytes; answers after {} ms (median), {} (slowest of {repeats}); redraws {} ms (median), {} (99 %), {} (slowest of {})",
            at(&ready, 0.5),
            at(&ready, 1.0),
            at(&took, 0.5),
            at(&took, 0.99),
            at(&took, 1.0),
            took.len()
        );
    }
}
