//! Whoever waits is told who holds the lock: by the command line of that process, or by what it says of itself.

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use ocirepo_tests::states::State;
use ocirepo_tests::tools;

use crate::poison::{POISON, judge, without_labels};

#[test]
fn who_holds_a_lock() {
    let Some(flock) = tools::tool("flock") else { return };
    let state = State::two_images();
    state.json(&["tag", "a:1", "c:3"]);
    let lock = state.dir().join(".ocirepo/lock");
    // It holds the lock until its input ends.
    let mut command = Command::new(flock);
    command.arg0(POISON).args(["-o", "-x", lock.to_str().unwrap(), "sh", "-c", "echo held; read line"]);
    let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    holder.stdout.as_mut().unwrap().read_exact(&mut [0; 4]).unwrap();
    for more in [&[][..], &["--color", "always"], &["--format", "json", "-v"]] {
        let args = [&["tag", "a:1", "d:4", "--lock-timeout", "1.5"], more].concat();
        let output = without_labels(state.ocirepo.run(&args).fails_with(6));
        judge(&output, "who holds the lock");
        let waiting = output.stderr.lines().find(|line| line.starts_with("warning: waiting for"));
        assert!(waiting.is_some_and(|line| line.contains("held by pid")), "{}", output.stderr);
    }
    drop(holder.stdin.take());
    holder.wait().unwrap();
    state.json(&["tag", "a:1", "d:4"]);
}

/// Where the system does not tell who holds a lock, what the holder has written is told.
#[test]
fn what_a_holder_says_of_itself() {
    let state = State::two_images();
    state.json(&["tag", "a:1", "c:3"]);
    for file in ["lock", "gate", "index.lock"] {
        state.layout.write(&format!(".ocirepo/{file}"), POISON.as_bytes());
    }
    std::fs::create_dir_all(state.dir().join(".ocirepo/tmp/session-x")).unwrap();
    state.layout.write(".ocirepo/tmp/session-x/owner", POISON.as_bytes());
    for args in [&["tag", "a:1", "d:4"][..], &["gc", "-vvv"], &["verify"]] {
        judge(&state.ocirepo.run(args).ok(), "what was left in a lock");
    }
}
