//! A registry as a part of an axum application that has other routes.
//!
//! ```text
//! cargo run -p registry-examples --example embed_in_axum
//! ```

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use registry_auth::Anonymous;
use registry_core::storage::Memory;
use registry_core::{Algorithm, Digest, Registry};
use registry_http::ServeOptions;
use reqwest::StatusCode;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::builder(Arc::new(Memory::new())).build();
    // Anybody who reaches the port may push; see `custom_auth` for another way.
    let routes = registry_http::service(registry.clone()).authenticator(Arc::new(Anonymous)).build().into_router();
    let application = Router::new().route("/about", get(async || "an application with a registry")).merge(routes);

    // `axum::serve` would do as well; this one has the timeouts that a server on a network needs.
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    println!("listening on {address}");
    let (stop, stopped) = oneshot::channel();
    let shutdown = async move {
        // That the sender is gone means the end as well.
        let _: Result<(), _> = stopped.await;
    };
    let server = tokio::spawn(registry_http::serve(listener, application, ServeOptions::default(), shutdown));

    visit(&address, &registry).await?;

    stop.send(()).map_err(|()| "the server ended early")?;
    let drained = server.await?;
    println!("ended; {} connections were cut", drained.cut);
    assert_eq!(drained.cut, 0);
    Ok(())
}

async fn visit(address: &str, registry: &Registry) -> Result<(), Box<dyn Error>> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let about = client.get(format!("{address}/about")).send().await?.text().await?;
    println!("GET /about: {about}");
    assert_eq!(about, "an application with a registry");

    let base = client.get(format!("{address}/v2/")).send().await?;
    println!("GET /v2/: {}", base.status());
    assert_eq!(base.status(), StatusCode::OK);

    let digest = Digest::of(Algorithm::Sha256, b"a layer");
    let uploads = format!("{address}/v2/library/app/blobs/uploads/?digest={digest}");
    let pushed = client.post(uploads).body("a layer").send().await?;
    println!("POST of a blob: {}", pushed.status());
    assert_eq!(pushed.status(), StatusCode::CREATED);

    // The application holds the same registry, and needs no HTTP to look into it.
    let info = registry.repository(&"library/app".parse()?).blobs().stat(&digest).await?;
    println!("the registry has {} bytes of {digest}", info.size);
    assert_eq!(info.size, 7);
    Ok(())
}
