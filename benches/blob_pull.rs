//! How fast does a layer go out, and how fast could it?
//!
//! A client on loopback reads it from a server in this process and drops the bytes. `raw_socket` is the limit of the
//! machine: a thread that writes as many bytes from memory into a plain socket, to the same client.

use std::cell::LazyCell;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use registry_benches::{Connection, Content, Layer, MEBIBYTE, Place, Server, drain};

fn blob_pull(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("blob_pull");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for mebibytes in [64, 256] {
        let bytes = mebibytes * MEBIBYTE;
        let layer = LazyCell::new(|| Layer::new(bytes, 1));
        group.throughput(Throughput::Bytes(bytes as u64));
        // How durable a write was makes no difference to a read.
        for place in [Place::Memory, Place::Strict] {
            let server = LazyCell::new(|| {
                let server = Server::start(place, env!("CARGO_TARGET_TMPDIR")).expect("starts");
                server.prepare_layer(&layer).expect("the storage works");
                server
            });
            group.bench_function(BenchmarkId::new(place.name(), format!("{mebibytes} MiB")), |bencher| {
                let mut connection: Connection = server.connect().expect("connects");
                let path = format!("/v2/{}/blobs/{}", Server::REPOSITORY, layer.digest);
                bencher.iter(|| {
                    let answer = connection.send("GET", &path, Content::None, 200).expect("it is there");
                    assert_eq!(answer.length, bytes as u64);
                });
            });
        }
        group.bench_function(BenchmarkId::new("raw_socket", format!("{mebibytes} MiB")), |bencher| {
            let mut socket = TcpStream::connect(raw_server(bytes).expect("starts")).expect("connects");
            let mut buffer = vec![0; 256 * 1024];
            bencher.iter(|| {
                socket.write_all(b"?").expect("it listens");
                drain(&mut socket, bytes as u64, &mut buffer).expect("it answers");
            });
        });
    }
    group.finish();
}

/// Writes `bytes` bytes for each byte that it gets, to one client, until that is gone.
fn raw_server(bytes: usize) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || -> io::Result<()> {
        let (mut socket, _) = listener.accept()?;
        let frame = vec![7; 256 * 1024];
        let mut question = [0];
        while socket.read(&mut question)? == 1 {
            for _ in 0..bytes / frame.len() {
                socket.write_all(&frame)?;
            }
        }
        Ok(())
    });
    Ok(address)
}

criterion_group!(benches, blob_pull);
criterion_main!(benches);
