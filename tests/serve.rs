//! `rsm-check serve` over real sockets: what it shows, and what it keeps.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use support::{Bench, RSM_CHECK};

struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(RSM_CHECK)
            .args(["serve", folder.to_str().unwrap(), "--port", "0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").unwrap().strip_suffix('/').unwrap();
        Self { address: address.parse().unwrap(), child }
    }

    fn ask(&self, line: &str, host: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(stream, "{line}\r\nHost: {host}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1"), &self.address.to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder with one run and a secret beside it.
fn reports(bench: &Bench) -> std::path::PathBuf {
    let folder = bench.path("reports");
    let run = folder.join("x-7");
    std::fs::create_dir_all(run.join("nodes/srv-1/data")).unwrap();
    std::fs::write(run.join("run.json"), r#"{"name":"x","seed":7,"started":"2026-11-22T14:50:09Z","state":"finished","judgement":{"verdict":"pass"}}"#).unwrap();
    std::fs::write(run.join("report.html"), "<p>the report</p>").unwrap();
    std::fs::write(run.join("nodes/srv-1/data/page.html"), "<script>1</script>").unwrap();
    std::fs::write(bench.path("secret"), "the secret").unwrap();
    std::os::unix::fs::symlink("../secret", folder.join("out")).unwrap();
    folder
}

#[test]
fn runs_and_their_files_are_shown_with_their_types() {
    let bench = Bench::new();
    let server = Server::start(&reports(&bench));
    assert!(server.address.ip().is_loopback());
    let index = server.get("/");
    assert!(index.starts_with("HTTP/1.1 200") && index.contains("./x-7/report.html"), "{index}");
    let report = server.get("/x-7/report.html");
    assert!(report.contains("Content-Type: text/html") && report.ends_with("<p>the report</p>"), "{report}");
    assert!(server.get("/x-7/run.json").contains("Content-Type: application/json"));
    assert!(server.get("/x-7").contains("Location: /x-7/report.html"));
    let foreign = server.get("/x-7/nodes/srv-1/data/page.html");
    assert!(
        foreign.contains("Content-Type: application/octet-stream") && foreign.contains("sandbox"),
        "{foreign}"
    );
    let head = server.ask("HEAD /x-7/report.html HTTP/1.1", "localhost");
    assert!(head.contains("Content-Length: 17") && head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn a_run_that_has_just_ended_is_on_the_list() {
    let bench = Bench::new();
    let folder = reports(&bench);
    let server = Server::start(&folder);
    std::fs::create_dir(folder.join("x-8")).unwrap();
    std::fs::copy(folder.join("x-7/run.json"), folder.join("x-8/run.json")).unwrap();
    assert!(server.get("/index.html").contains("x-8/run.json"));
}

#[test]
fn nothing_outside_the_folder_is_ever_told() {
    let bench = Bench::new();
    let server = Server::start(&reports(&bench));
    for path in
        ["/out", "/../secret", "/x-7/../../secret", "/%2e%2e/secret", "/x-7/..%2f..%2fsecret", "//etc/passwd"]
    {
        let answer = server.get(path);
        assert!(answer.starts_with("HTTP/1.1 40") && !answer.contains("the secret"), "{path}: {answer}");
    }
    assert!(server.ask("GET /x-7/report.html HTTP/1.1", "evil.example").starts_with("HTTP/1.1 403"));
    assert!(server.ask("POST / HTTP/1.1", "localhost").starts_with("HTTP/1.1 405"));
    assert!(server.get("/").starts_with("HTTP/1.1 200"), "it still serves");
}

#[test]
fn a_taken_port_and_a_missing_folder_are_refused_in_words() {
    let bench = Bench::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = reports(&bench);
    let words = ["serve", folder.to_str().unwrap(), "--port", &port];
    bench.output(&words).exits(2).tells(&[&format!("--port {port}"), "accepted: a free port, or 0 for any"]);
    bench.output(&["serve", "nowhere"]).exits(2).tells(&["nowhere", "accepted: a folder of run directories"]);
}
