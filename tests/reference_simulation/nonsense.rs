//! Lines that nobody in their right mind sends, to both cores.
//!
//! Words are drawn so that many lines parse: the interesting nonsense is well-formed. It must not
//! expect sense, only that nothing panics, and that a replica finds again what it has stored.

use std::time::Duration;

use crate::chance::Chance;
use crate::memory::Mount;
use crate::reference::transfer::Transfer;
use crate::replica::{Limits, Replica};
use crate::sequencer::{Event, Moment, Output, Sequencer, Settings};

const NUMBERS: [&str; 12] = [
    "0",
    "1",
    "2",
    "3",
    "4",
    "5",
    "9",
    "-1",
    "4611686018427387903",
    "4611686018427387904",
    "18446744073709551615",
    "x",
];

fn number(chance: &mut Chance) -> &'static str {
    let among = if chance.one_in(20) { NUMBERS.len() as u64 } else { 6 };
    NUMBERS[chance.below(among) as usize]
}

/// `COUNT` and about as many entries.
fn entries(chance: &mut Chance) -> String {
    let count = chance.below(3);
    let mut text = count.to_string();
    for _ in 0..if chance.one_in(30) { 1 } else { count } {
        let incarnation = number(chance);
        text += &match chance.below(4) {
            0 => format!(" {incarnation} noop"),
            1 => format!(" {incarnation} members 1 {} {}", number(chance), number(chance)),
            _ => format!(" {incarnation} at {} a{} b {}", number(chance), number(chance), number(chance)),
        };
    }
    text
}

fn line(chance: &mut Chance) -> String {
    let mut n = || number(chance);
    let (a, b, c, d) = (n(), n(), n(), n());
    match chance.below(12) {
        0 => format!("promise {a}"),
        1 => format!("fetch {a} {b}"),
        2 | 3 => format!("append {a} {b} {c} {d} {}", entries(chance)),
        4 => format!("install {a} {b} {c} {d} 1 1 {a} 1 a 5"),
        5 => {
            let standing = ["member", "new", "forgetful", "old"][chance.below(4) as usize];
            format!("promised {a} {b} {c} {d} {standing} 1 {a} {d}")
        }
        6 => format!("fenced {a}"),
        7 => format!("entries {a} {}", entries(chance)),
        8 => format!("state {a} {b} {c} - 0 1 a {d}"),
        9 => format!("appended {a} {b}"),
        10 => format!("copied {a} {b} {c}"),
        _ => format!("mismatch {a} {b}"),
    }
}

#[test]
fn a_replica_survives_nonsense_and_finds_again_what_it_stored() {
    for seed in 0..500 {
        let mut chance = Chance::seeded(seed);
        let limits = Limits { compact_bytes: chance.between(50, 500), fetch_entries: 2 };
        let disk = Mount::default();
        let (mut replica, _) = Replica::open(disk.clone(), limits, 1).expect("an empty disk");
        for _ in 0..200 {
            let _ = replica.handle(1, &line(&mut chance));
            if chance.one_in(3) {
                replica.finish_group().expect("the disk is well");
            }
            if chance.one_in(9) {
                replica.publish().expect("the disk is well");
            }
        }
        replica.finish_group().expect("the disk is well");
        replica.publish().expect("the disk is well");
        let before = replica.position();
        let (again, _) = Replica::open(disk, limits, 2).expect("a sound disk");
        assert_eq!(again.position().0, before.0, "seed {seed}");
    }
}

#[test]
fn a_coordinator_survives_nonsense() {
    let ms = Duration::from_millis;
    let settings = Settings {
        heartbeat: ms(10),
        commit_delay: ms(1),
        silence: ms(50),
        give_up: ms(100),
        wait: ms(100),
        deadline: ms(200),
        backoff: (ms(1), ms(5)),
        batch: 2,
        window: 2,
        keep: 2,
    };
    for seed in 0..500 {
        let mut chance = Chance::seeded(seed);
        let mut coordinator = Sequencer::new(3, settings);
        let mut elapsed = Duration::ZERO;
        for step in 0..500 {
            elapsed += Duration::from_micros(chance.below(5000));
            let (replica, connection) = (chance.below(3) as usize, chance.below(2));
            coordinator.handle(event(&mut chance, replica, connection, step), elapsed);
            let seconds = [0, i64::MAX, i64::MIN][chance.below(3) as usize];
            let outputs = coordinator.flush(Moment { elapsed, unix_seconds: seconds });
            let lines = outputs.iter().filter(|output| matches!(output, Output::Send { .. })).count();
            assert!(lines < 100, "seed {seed}: a storm of {lines} lines");
        }
    }
}

fn event(chance: &mut Chance, replica: usize, connection: u64, client: u64) -> Event {
    match chance.below(12) {
        0 => Event::Connected { replica, connection },
        1 if chance.one_in(3) => Event::Lost { replica, connection },
        2 if chance.one_in(3) => Event::Unreachable { replica },
        3 => {
            let transfer = Transfer { from: "a".into(), to: "b".into(), amount: 1 };
            Event::Request { client, transfer }
        }
        _ => Event::Line { replica, connection, text: line(chance) },
    }
}
