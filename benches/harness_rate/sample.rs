//! Measures operations the same way whether something records them or not.
//!
//! Must not know what stands between client and server.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use rsm_check::client::{Invocation, Journal};
use rsm_check::clock::RunClock;
use rsm_check::op::{Outcome, Reason, Transfer};
use rsm_check::recorder::Recorder;

/// Measures the same way whether something records or not.
pub(crate) struct Measured {
    inner: Option<Recorder>,
    clock: RunClock,
    source: AtomicU32,
    errors: AtomicU64,
    last_error: Mutex<Option<Reason>>,
    cpu_before: Duration,
    microseconds: Mutex<Vec<u32>>,
}

impl Measured {
    pub(crate) fn around(inner: Option<Recorder>) -> Self {
        Self {
            inner,
            clock: RunClock::start(),
            source: AtomicU32::new(0),
            errors: AtomicU64::new(0),
            last_error: Mutex::new(None),
            cpu_before: cpu_used(),
            microseconds: Mutex::new(Vec::with_capacity(1 << 20)),
        }
    }

    pub(crate) fn sample(&self, time: Duration) -> Sample {
        if let Some(reason) = self.last_error.lock().expect("no holder panics").take() {
            println!("  an error: {}", reason.text());
        }
        let microseconds = std::mem::take(&mut *self.microseconds.lock().expect("no holder panics"));
        let cpu = cpu_used().saturating_sub(self.cpu_before);
        Sample { microseconds, errors: self.errors.load(Ordering::Relaxed), time, cpu }
    }
}

impl Journal for Measured {
    fn invoke(&self, process: u64, transfer: Transfer) -> Invocation {
        let mut invocation = match &self.inner {
            Some(recorder) => recorder.invoke(process, transfer),
            None => {
                let number = self.source.fetch_add(1, Ordering::Relaxed) % (200 << 16);
                let source = Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(127, 1, 0, 0)) + number);
                Invocation { index: 0, process, transfer, invoked: 0, source }
            }
        };
        // Told in this clock, for the recorder's is not ours to read.
        invocation.index = self.clock.now();
        invocation
    }

    fn complete(
        &self,
        invocation: Invocation,
        local: Option<SocketAddrV4>,
        result: Result<[i64; 2], Reason>,
    ) -> Outcome {
        let latency = (self.clock.now() - invocation.index) / 1000;
        match &result {
            Ok(_) => self.microseconds.lock().expect("no holder panics").push(latency as u32),
            Err(reason) => {
                self.errors.fetch_add(1, Ordering::Relaxed);
                *self.last_error.lock().expect("no holder panics") = Some(reason.clone());
            }
        }
        match &self.inner {
            Some(recorder) => recorder.complete(invocation, local, result),
            None => result.as_ref().map_or_else(Reason::outcome, |_| Outcome::Ok),
        }
    }
}

#[derive(Default)]
pub(crate) struct Sample {
    pub(crate) microseconds: Vec<u32>,
    pub(crate) errors: u64,
    time: Duration,
    /// Time on a processor that this process spent, the stub's not included.
    cpu: Duration,
}

impl Sample {
    pub(crate) fn add(&mut self, other: Self) {
        self.microseconds.extend(other.microseconds);
        self.errors += other.errors;
        self.time += other.time;
        self.cpu += other.cpu;
    }

    /// Microseconds; other load on the machine hardly touches this figure.
    pub(crate) fn cpu_per_operation(&self) -> f64 {
        self.cpu.as_micros() as f64 / (self.microseconds.len().max(1)) as f64
    }

    pub(crate) fn rate(&self) -> f64 {
        self.microseconds.len() as f64 / self.time.as_secs_f64()
    }

    /// Microseconds.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.microseconds.clone();
        sorted.sort_unstable();
        let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
        f64::from(sorted.get(at).copied().unwrap_or(0))
    }

    pub(crate) fn line(&self) -> String {
        let (p50, p99) = (self.quantile(0.5) / 1000.0, self.quantile(0.99) / 1000.0);
        let (rate, errors) = (self.rate(), self.errors);
        let cpu = self.cpu_per_operation();
        format!("{rate:8.0} ops/s   p50 {p50:6.2} ms   p99 {p99:6.2} ms   cpu {cpu:5.1} us   errors {errors}")
    }
}

pub(crate) fn cpu_used() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return Duration::ZERO };
    let micros = [usage.user_time(), usage.system_time()].iter().map(TimeVal::num_microseconds).sum::<i64>();
    Duration::from_micros(micros.unsigned_abs())
}
