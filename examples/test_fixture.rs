//! A registry for the tests of a program that pushes and pulls: a port of its own for each test, gone with its value.
//!
//! ```text
//! cargo run -p registry-examples --example test_fixture
//! ```

use std::error::Error;
use std::net::TcpStream;

use registry_core::{Algorithm, Digest};
use registry_http::TestRegistry;
use reqwest::StatusCode;

fn main() -> Result<(), Box<dyn Error>> {
    // Where the test is an ordinary function:
    let registry = TestRegistry::start_blocking()?;
    println!("{} is at {}", registry.reference("library/app", "1"), registry.url());
    blocking_test(&registry)?;
    let address = registry.addr();
    drop(registry);
    println!("{address} is gone: {}", TcpStream::connect(address).is_err());
    assert!(TcpStream::connect(address).is_err());

    // Where it is an asynchronous one (with `#[tokio::test]`):
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async_test())
}

fn blocking_test(registry: &TestRegistry) -> Result<(), Box<dyn Error>> {
    let client = reqwest::blocking::Client::builder().no_proxy().build()?;
    let repository = format!("{}/v2/library/app", registry.url());
    let digest = Digest::of(Algorithm::Sha256, b"a layer");
    let pushed = client.post(format!("{repository}/blobs/uploads/?digest={digest}")).body("a layer").send()?;
    assert_eq!(pushed.status(), StatusCode::CREATED);
    let pulled = client.get(format!("{repository}/blobs/{digest}")).send()?.bytes()?;
    println!("pushed and pulled {} bytes", pulled.len());
    assert_eq!(&pulled[..], b"a layer");
    Ok(())
}

async fn async_test() -> Result<(), Box<dyn Error>> {
    // Two at once do not get in each other's way.
    let (first, second) = (TestRegistry::start().await?, TestRegistry::builder().deletes(false).start().await?);
    let client = reqwest::Client::builder().no_proxy().build()?;
    let manifest = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    let push = client.put(format!("{}/v2/library/app/manifests/1", first.url()));
    let pushed = push.header("content-type", "application/vnd.oci.image.index.v1+json").body(manifest).send().await?;
    assert_eq!(pushed.status(), StatusCode::CREATED);

    // What was pushed can be looked at without a request.
    let name = "library/app".parse()?;
    let tags = first.registry().repository(&name).tags().list(None, 10).await?.tags;
    println!("the first one has the tags {tags:?}");
    assert_eq!(tags, ["1".parse()?]);
    let elsewhere = client.get(format!("{}/v2/library/app/tags/list", second.url())).send().await?;
    println!("the second one says {}", elsewhere.status());
    assert_eq!(elsewhere.status(), StatusCode::NOT_FOUND);
    Ok(())
}
