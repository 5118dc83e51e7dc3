//! Through another host, or another program.

use std::fs;

use quorate::shell::live::ssh::{SshError, Stdin};

use super::server::{Options, SECONDS, Sshd, server, server_with};

/// Adds a `Host jump` to the configuration of `server` that is the other server, and lines to `Host lab`.
fn configure(server: &Sshd, jump: &Sshd, lines: &str) {
    let own = fs::read_to_string(server.path("ssh_config")).expect("reads");
    let of_jump = fs::read_to_string(jump.path("ssh_config")).expect("reads").replace("Host lab", "Host jump");
    fs::write(server.path("ssh_config"), format!("{own}{lines}\n{of_jump}")).expect("writes");
}

#[tokio::test(flavor = "multi_thread")]
async fn goes_through_a_jump_host() {
    // The socket pair to the proxy takes little at once, so packets go out in parts, new keys in between.
    let options = Options { sshd: "RekeyLimit 2M", ..Options::default() };
    let (Some(server), Some(jump)) = (server_with(&options), server()) else { return };
    configure(&server, &jump, "  ProxyJump jump");
    let host = server.connect().await;
    let sent: Vec<u8> = (0..20_u32 << 20).map(|index| (index % 241) as u8).collect();
    let output = host.exec("tee /dev/stderr", sent.clone(), SECONDS(60)).await.expect("runs");
    assert!(output.stdout == sent && output.stderr == sent);
    assert_eq!(jump.sessions().len(), 1, "it must have gone through the jump host");
    drop(host);
    // The jump host's connection ends with ours.
    for _ in 0..300 {
        if jump.sessions().is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the proxy still runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_jumps_and_a_port() {
    let (Some(server), Some(jump)) = (server(), server()) else { return };
    configure(&server, &jump, &format!("  ProxyJump jump,{}@127.0.0.1:{}", jump.user, jump.port));
    // The second is not in the configuration by name, so its key and ours must be given for its address.
    let config = fs::read_to_string(server.path("ssh_config")).expect("reads");
    let for_address = fs::read_to_string(jump.path("ssh_config")).expect("reads").replace("Host lab", "Host 127.0.0.1");
    fs::write(server.path("ssh_config"), config + &for_address).expect("writes");
    server.connect().await.exec("true", Stdin::Empty, SECONDS(10)).await.expect("runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_host_that_refuses_us_is_quoted() {
    let (Some(server), Some(jump)) = (server(), server()) else { return };
    fs::write(jump.path("known_hosts"), "").expect("writes");
    configure(&server, &jump, "  ProxyJump jump");
    let error = server.open().await.expect_err("the jump host is unknown");
    let SshError::Proxy { said, command, .. } = &error else { panic!("{error}") };
    assert!(said.contains("Host key verification failed"), "{said}");
    assert!(command.contains("-W 127.0.0.1:"), "{command}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_command_carries_the_connection() {
    let (Some(server), Some(jump)) = (server(), server()) else { return };
    let line = format!("  ProxyCommand ssh -F {} -W %h:%p jump", server.path("ssh_config").display());
    configure(&server, &jump, &line);
    server.connect().await.exec("true", Stdin::Empty, SECONDS(10)).await.expect("runs");
    assert!(jump.log().contains("Accepted publickey"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_command_that_fails_is_quoted() {
    let (Some(server), Some(jump)) = (server(), server()) else { return };
    configure(&server, &jump, "  ProxyCommand sh -c 'echo no way >&2; exit 3'");
    let error = server.open().await.expect_err("the proxy fails");
    let expected = "cannot reach lab through its proxy: the proxy exited with exit status: 3\n  command: sh -c exec sh \
                    -c 'echo no way >&2; exit 3'\n  output: no way";
    assert_eq!(error.to_string(), expected);
}
