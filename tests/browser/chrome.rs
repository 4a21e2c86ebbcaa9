//! A headless Chromium and one page in it, spoken to over the browser's own debugging
//! pipe: no port, no driver, nothing but what a reader's browser does.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::eventually;

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const FLAGS: [&str; 14] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-extensions",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--no-first-run",
    "--no-default-browser-check",
    "--remote-debugging-pipe",
    "--window-size=1280,900",
];

/// A browser with one page open.
pub struct Chrome {
    browser: Child,
    profile: tempfile::TempDir,
    to: File,
    from: BufReader<File>,
    session: Option<String>,
    calls: u64,
    url: String,
    /// What the browser reported without being asked.
    events: Vec<Value>,
}

fn installed() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).flat_map(|dir| NAMES.map(|name| dir.join(name))).find(|file| file.is_file())
}

/// The two ends that the browser takes as its descriptors 3 and 4.
#[allow(unsafe_code)]
fn with_pipes(command: &mut Command, reads: OwnedFd, writes: OwnedFd) {
    let take = move || {
        let (reads, writes) = (reads.as_raw_fd(), writes.as_raw_fd());
        // SAFETY: between fork and exec only system calls that are safe there, on
        // descriptors that this closure owns. They move out of the way first: either
        // may be 3 or 4 already.
        let placed = unsafe {
            let reads = libc::fcntl(reads, libc::F_DUPFD_CLOEXEC, 10);
            let writes = libc::fcntl(writes, libc::F_DUPFD_CLOEXEC, 10);
            libc::dup2(reads, 3) == 3 && libc::dup2(writes, 4) == 4
        };
        if placed { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: see above; nothing is allocated or locked.
    unsafe { command.pre_exec(take) };
}

impl Chrome {
    /// Opens a file as a reader does, and waits until its script has come to life;
    /// `None`, said on stderr, without a browser; `RSM_CHECK_MUST_OFFER=browser` forbids that.
    pub fn open(report: &Path) -> Option<Self> {
        let Some(program) = installed() else {
            let must = std::env::var("RSM_CHECK_MUST_OFFER").unwrap_or_default();
            assert!(!must.split(',').any(|what| what == "browser"), "none of {NAMES:?} is on PATH");
            // Not by a macro: the harness would swallow it.
            let said = "SKIPPED: a browser test, because Chromium is not installed (Debian: apt-get install chromium)\n";
            let _ = std::io::stderr().write_all(said.as_bytes());
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let (reads, to) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        let (from, writes) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        let mut command = Command::new(program);
        command.args(FLAGS).arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        command.env("HOME", profile.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        with_pipes(&mut command, reads, writes);
        let browser = command.spawn().unwrap();
        // The closure holds the browser's ends: without it the end of the browser is seen.
        drop(command);
        let (to, from) = (File::from(to), BufReader::new(File::from(from)));
        let url = format!("file://{}", report.display());
        let mut chrome =
            Self { browser, profile, to, from, session: None, calls: 0, url, events: Vec::new() };
        chrome.load();
        Some(chrome)
    }

    fn load(&mut self) {
        let target = self.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = self.call("Target.attachToTarget", attach);
        self.session = Some(attached["sessionId"].as_str().unwrap().into());
        for domain in ["Page.enable", "Runtime.enable", "Log.enable", "Network.enable"] {
            self.call(domain, json!({}));
        }
        self.call("Page.navigate", json!({ "url": self.url }));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.receive();
            self.events.push(event);
        }
        self.until(
            "the page has come to life",
            "document.documentElement?.dataset.ready !== undefined || 'not yet'",
        );
    }

    fn receive(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes).unwrap();
        assert_eq!(bytes.pop(), Some(0), "the browser has ended");
        serde_json::from_slice(&bytes).unwrap()
    }

    /// Calls the browser, and returns its answer.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let mut call = json!({ "id": self.calls, "method": method, "params": params });
        if let Some(session) = &self.session {
            call["sessionId"] = session.as_str().into();
        }
        self.to.write_all(format!("{call}\0").as_bytes()).unwrap();
        loop {
            let mut said = self.receive();
            if said["id"] == self.calls {
                assert!(said["error"].is_null(), "{method}: {}", said["error"]);
                return said["result"].take();
            }
            self.events.push(said);
        }
    }

    /// The value of an expression in the page.
    pub fn eval(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut answer = self.call("Runtime.evaluate", asked);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].take()
    }

    /// Text that a reader sees in an element.
    pub fn text(&mut self, selector: &str) -> String {
        let text = self.eval(&format!("document.querySelector({}).textContent", json!(selector)));
        text.as_str().unwrap_or_default().into()
    }

    /// Waits until an expression is true; its last other value is told.
    #[track_caller]
    pub fn until(&mut self, what: &str, expression: &str) {
        eventually(what, || match self.eval(expression) {
            Value::Bool(true) => Ok(()),
            other => Err(other.to_string()),
        });
    }

    /// The middle of an element, scrolled into sight.
    fn place(&mut self, selector: &str) -> (f64, f64) {
        let expression = format!(
            "(() => {{ const e = document.querySelector({}); e.scrollIntoView({{block: 'center'}}); \
             const b = e.getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2]; }})()",
            json!(selector)
        );
        let place = self.eval(&expression);
        (place[0].as_f64().unwrap(), place[1].as_f64().unwrap())
    }

    /// Clicks with the mouse in the middle of an element.
    pub fn click(&mut self, selector: &str) {
        let (x, y) = self.place(selector);
        self.click_at(x, y);
    }

    /// Clicks with the mouse at a place in the window.
    pub fn click_at(&mut self, x: f64, y: f64) {
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let pressed = kind != "mouseMoved";
            let event = json!({ "type": kind, "x": x, "y": y, "button": if pressed { "left" } else { "none" },
                "clickCount": i32::from(pressed) });
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Turns the wheel over an element.
    pub fn wheel(&mut self, selector: &str, by: i32) {
        let (x, y) = self.place(selector);
        let event = json!({ "type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": by });
        self.call("Input.dispatchMouseEvent", event);
    }

    /// Types a text into what has the focus, or presses a key that has a name.
    pub fn press(&mut self, key: &str) {
        let text = if key == "Enter" { "\r" } else { key };
        let mut down = json!({ "type": "keyDown", "key": key });
        if text.chars().count() == 1 {
            down["text"] = text.into();
        }
        if key == "Enter" {
            down["windowsVirtualKeyCode"] = 13.into();
        }
        self.call("Input.dispatchKeyEvent", down);
        self.call("Input.dispatchKeyEvent", json!({ "type": "keyUp", "key": key }));
    }

    /// Types a text.
    pub fn write(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Nothing was complained of, and nothing asked for but the file itself.
    #[track_caller]
    pub fn assert_clean(mut self) {
        // What was reported before this answer has been received.
        self.eval("new Promise((done) => requestAnimationFrame(() => done(1)))");
        let complaints = ["Runtime.exceptionThrown", "Log.entryAdded"];
        for event in &self.events {
            let method = event["method"].as_str().unwrap_or_default();
            let (params, url) = (&event["params"], &event["params"]["request"]["url"]);
            assert!(!complaints.contains(&method), "{params}");
            let error = matches!(params["type"].as_str(), Some("error" | "warning" | "assert"));
            assert!(method != "Runtime.consoleAPICalled" || !error, "{params}");
            assert!(method != "Network.requestWillBeSent" || *url == self.url.as_str(), "asked for {url}");
            assert_ne!(method, "Network.webSocketCreated", "{params}");
        }
        let asked = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent").count();
        assert_eq!(asked, 1, "the page itself, once: otherwise requests are not watched");
    }
}

impl Drop for Chrome {
    fn drop(&mut self) {
        self.session = None;
        let _ = self.to.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        // To the end of what it says: then all its processes let go of the profile.
        let _ = self.from.read_to_end(&mut Vec::new());
        let _ = self.browser.wait();
        // Its helpers end a moment later, and write until then.
        let gone =
            |_: &i32| std::fs::remove_dir_all(self.profile.path()).is_err() && self.profile.path().exists();
        (0..1000).take_while(gone).for_each(|_| std::thread::sleep(std::time::Duration::from_millis(5)));
    }
}
