use std::io;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn parse_with(document: Option<&str>, variables: &[(&str, &str)]) -> Result<Parsed, Rejected> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    parse(document, variables, &mut |_: &Path| Err(io::Error::from(io::ErrorKind::NotFound)))
}

#[track_caller]
fn good(rest: &str) -> Parsed {
    let document = format!("version: 0.1\n{rest}");
    let document = if rest.contains("storage:") { document } else { document + "\nstorage: inmemory\n" };
    parse_with(Some(&document), &[]).unwrap()
}

#[track_caller]
fn problems(document: &str, variables: &[(&str, &str)]) -> Vec<String> {
    parse_with(Some(document), variables).unwrap_err().problems.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn refused(rest: &str) -> Vec<String> {
    let document = format!("version: 0.1\n{rest}");
    let document = if rest.contains("storage:") { document } else { document + "\nstorage: inmemory\n" };
    problems(&document, &[])
}

#[test]
fn without_a_document() {
    let Parsed { config, warnings, .. } = parse_with(None, &[]).unwrap();
    let root = "./registry-data".into();
    assert_eq!(config.storage.driver, Driver::Filesystem { root, durability: Durability::Strict });
    assert_eq!(config.http.listen, Listen::Tcp { host: "127.0.0.1".into(), port: 5000 });
    assert!(config.storage.delete && !config.storage.read_only && config.log.access_log);
    assert_eq!(config.storage.upload_purging, Some(UploadPurging::default()));
    assert_eq!(config.http.drain_timeout, Duration::from_secs(10));
    assert_eq!(config.pages, PagesConfig { catalog_entries: 1000, tags: 1000 });
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn pages_for_people() {
    let ui = good("").config.ui;
    assert_eq!(ui, UiConfig { enabled: true, title: None, session: Duration::from_hours(12), pulls: None });
    let ui = good("ui: {enabled: false, title: Images, session: 30m}").config.ui;
    let session = Duration::from_mins(30);
    assert_eq!(ui, UiConfig { enabled: false, title: Some("Images".into()), session, pulls: None });
    assert!(!ui.notes_pulls(&Driver::InMemory), "there is no page that could tell");
    assert!(good("").config.ui.notes_pulls(&Driver::InMemory));
    assert!(!good("ui: {pulls: false}").config.ui.notes_pulls(&Driver::InMemory));
    assert_eq!(refused("ui: {session: 0s}").len(), 1);
    assert_eq!(good("ui: {titel: x}").warnings, ["ui.titel: unknown, and ignored"]);
}

#[test]
fn without_a_document_the_variables_decide() {
    let config = parse_with(None, &[("REGISTRY_STORAGE", "inmemory"), ("REGISTRY_HTTP_ADDR", ":0")]).unwrap().config;
    assert_eq!(config.storage.driver, Driver::InMemory);
    assert_eq!(config.http.listen, Listen::Tcp { host: String::new(), port: 0 });
    let config = parse_with(None, &[("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/x")]).unwrap().config;
    assert_eq!(config.storage.driver, Driver::Filesystem { root: "/x".into(), durability: Durability::Strict });
}

#[test]
fn each_durability_has_a_name() {
    for durability in [Durability::Strict, Durability::Group, Durability::Os] {
        let variables = [("REGISTRY_STORAGE_FILESYSTEM_DURABILITY", durability.as_str())];
        let config = parse_with(None, &variables).unwrap().config;
        let Driver::Filesystem { durability: read, .. } = config.storage.driver else { panic!("{config}") };
        assert_eq!(read, durability);
    }
    assert_eq!(
        ["strict", "group", "os"],
        [Durability::Strict, Durability::Group, Durability::Os].map(Durability::as_str)
    );
}

#[test]
fn the_configuration_of_the_usual_image() {
    let document = "
version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
";
    let Parsed { config, warnings, .. } = parse_with(Some(document), &[]).unwrap();
    assert_eq!(config.log.fields["service"], "registry");
    assert_eq!(config.http.listen, Listen::Tcp { host: String::new(), port: 5000 });
    assert_eq!(config.http.headers["x-content-type-options"], "nosniff");
    assert!(!config.storage.delete);
    assert_eq!(config.health[0].name, "storagedriver_filesystem");
    assert_eq!(
        warnings,
        [
            "storage.cache.blobdescriptor: has no effect: what a blob is like is looked up where it lies, so there is nothing to go stale"
        ]
    );
}

/// A value for each setting.
const EVERYTHING: &str = "
log: {level: DEBUG, formatter: logstash, fields: {a: 1, b: x}, reportcaller: yes, accesslog: {disabled: on}}
storage:
  filesystem: {durability: os}
  delete: {enabled: yes}
  maintenance: {readonly: {enabled: true}, uploadpurging: {age: 1h, interval: 5m, dryrun: true}}
http:
  addr: '[::1]:5001'
  host: https://registry.example.com
  prefix: /a/b
  relativeurls: true
  trustforwarded: false
  secret: hush
  headers: {X-One: [a, b], X-Two: c}
  draintimeout: 1m30s
  h2c: {enabled: true}
  maxbody: 1GB
  http2: {disabled: true}
  tls: {certificate: /c, key: /k, minimumtls: tls1.3, ciphersuites: [TLS_AES_256_GCM_SHA384], clientcas: [/a],
    clientauth: verify-client-cert-if-given}
  debug: {addr: ':5002', prometheus: {enabled: true, path: /m}}
health: {storagedriver: {enabled: true}, file: [{file: /down}], http: [{uri: 'http://a/'}], tcp: [{addr: 'a:1'}]}
auth: {htpasswd: {realm: x, path: /users}}
access:
  groups: {team: [ann, bob]}
  rules: [{who: [group:team, user:eve, anonymous], repositories: ['team/**'], actions: [pull, push]}]
catalog: {maxentries: 5}
limits: {connections: 9}
tags: {maxtags: 7}
notifications: {events: {includereferences: true}, endpoints: [{name: a, url: 'http://x'}], spool: {maxevents: 1}}
validation: {manifests: {references: sparse, indexes: {platforms: list, platformlist: [{architecture: amd64, os: linux}]}}}
";

#[test]
fn variables_know_every_setting() {
    fn assert_known(path: &[String], node: &Node) {
        assert!(path.is_empty() || known::is_known(path), "{path:?}");
        if let Node::Map(fields) = node {
            for (key, node) in fields {
                assert_known(&[path, std::slice::from_ref(key)].concat(), node);
            }
        }
    }
    assert_known(&[], &yaml::parse(EVERYTHING).unwrap());
}

#[test]
fn every_setting_is_read() {
    let config = good(EVERYTHING).config;
    let summary = config.to_string();
    assert_eq!((config.log.level, config.log.formatter), (LogLevel::Debug, LogFormat::Logstash));
    assert!(config.log.report_caller && !config.log.access_log && config.log.fields["a"] == "1");
    let root = "/var/lib/registry".into();
    assert_eq!(config.storage.driver, Driver::Filesystem { root, durability: Durability::Os });
    assert!(config.storage.delete && config.storage.read_only);
    let purging = UploadPurging { age: Duration::from_hours(1), interval: Duration::from_mins(5), dry_run: true };
    assert_eq!(config.storage.upload_purging, Some(purging));
    assert_eq!(config.http.listen, Listen::Tcp { host: "::1".into(), port: 5001 });
    assert_eq!(config.http.host.unwrap().to_string(), "https://registry.example.com");
    assert_eq!(config.http.prefix.as_str(), "/a/b");
    assert!(config.http.relative_urls && config.http.h2c && !config.http.trust_forwarded);
    assert_eq!(config.http.headers.get_all("x-one").iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(config.http.headers["x-two"], "c");
    assert_eq!(config.http.drain_timeout, Duration::from_secs(90));
    assert_eq!(config.pages, PagesConfig { catalog_entries: 5, tags: 7 });
    assert!(config.http.debug.is_some() && config.health.len() == 4);
    assert!(summary.contains("platforms: list: linux/amd64") && summary.contains("references: sparse"), "{summary}");
    assert!(!summary.contains("hush"), "{summary}");
}

#[test]
fn everything_wrong_is_told_at_once() {
    let document = "
version: 0.2
log: {level: loud, formatter: xml}
storage: {filesystem: {durability: some}, delete: {enabled: maybe}, maintenance: {uploadpurging: {age: 10}}}
http: {addr: nowhere, net: udp, draintimeout: soon, relativeurls: [1], headers: {'a b': [c]}}
auth: {htpasswd: {realm: x}}
access: {rules: [{who: [group:x], repositories: [A], actions: [pul]}]}
proxy: {remoteurl: https://example.com}
tags: {maxtags: -1}
";
    assert_eq!(
        problems(document, &[("REGISTRY_CATALOG_MAXENTRIES", "many")]),
        [
            "version: expected 0.1, found \"0.2\"",
            "log.level: expected one of error, warn, info, debug, found \"loud\"",
            "log.formatter: expected one of text, json, logstash, found \"xml\"",
            "storage.filesystem.durability: expected one of strict, group, os, found \"some\"",
            "storage.delete.enabled: expected true or false, found \"maybe\"",
            "storage.maintenance.uploadpurging.age: expected a duration such as 168h, 1h30m or 1.5s, found \"10\"",
            "http.net: expected one of tcp, unix, found \"udp\"",
            "http.addr: expected HOST:PORT or :PORT, found \"nowhere\"",
            "http.relativeurls: expected true or false, found a list",
            "http.headers.a b: not a name that a header can have",
            "http.draintimeout: expected a duration such as 168h, 1h30m or 1.5s, found \"soon\"",
            "auth.htpasswd.path: missing: the file with the users and their passwords",
            "access.rules.0.who: there is no group \"x\" below access.groups",
            "access.rules.0.repositories: \"A\": a pattern is a repository name of at most 255 bytes \
             with *, {user} as a component, or ** at the end",
            "access.rules.0.actions: \"pul\": expected pull, push or delete",
            "catalog.maxentries: expected a whole number, found \"many\" (set by REGISTRY_CATALOG_MAXENTRIES)",
            "tags.maxtags: expected a whole number, 0 or more, found \"-1\"",
            "proxy: a registry that fetches from another one is not available in this version",
        ]
    );
}

#[test]
fn no_door_is_opened_by_what_is_not_built() {
    for (document, start) in [
        ("auth: {htpasswd: {path: /x}}", "auth.htpasswd.realm: missing"),
        ("auth: {htpasswd: {realm: x, path: /x}, none: }", "auth: names more than one way to log in"),
        ("auth: {Htpasswd: {realm: x, path: /x}}", "auth.Htpasswd: not a way to log in"),
        ("access:", "access: has no rules"),
        ("access: {rules: [{repositories: ['**'], actions: [pull]}]}", "access.rules.0.who: missing"),
        ("auth: {token: {realm: r, service: s, jwks: k}}", "auth.token.issuer: missing"),
        ("auth: {silly: {realm: x, service: y}}", "auth.silly: "),
        ("http: {tls: {certificate: /c}}", "http.tls.key: missing"),
        ("proxy: {remoteurl: x}", "proxy: "),
        ("middleware: {registry: [{name: x}]}", "middleware: "),
        ("storage: {inmemory: , filesystem: }", "storage: names more than one driver: filesystem, inmemory"),
        ("storage: {delete: {enabled: true}}", "storage: names no driver"),
        ("storage:", "storage: names no driver"),
        ("http: {net: unix}", "http.addr: missing: the path of a socket"),
    ] {
        let told = refused(document);
        assert!(told.len() == 1 && told[0].starts_with(start), "{document}: {told:?}");
    }
    for document in ["auth: none", "auth: {none: }", "auth:", "http: {tls: {certificate: ''}}", "proxy: {remoteurl: }"]
    {
        good(document);
    }
}

#[cfg(not(feature = "s3"))]
#[test]
fn a_bucket_is_refused_where_it_is_not_built_in() {
    let told = problems("version: 0.1", &[("REGISTRY_STORAGE", "s3"), ("REGISTRY_STORAGE_S3_BUCKET", "b")]);
    assert_eq!(
        told,
        [
            "storage.s3: not a driver that this server has: filesystem, inmemory; build it with the feature s3 (set by REGISTRY_STORAGE)"
        ]
    );
}

#[test]
fn other_buckets_are_refused_where_they_are_not_built_in() {
    for (name, is_built) in [("gcs", cfg!(feature = "gcs")), ("azure", cfg!(feature = "azure"))] {
        let told = refused(&format!("storage: {{{name}: {{}}}}"));
        let expected = format!("storage.{name}: not a driver that this server has: filesystem, inmemory");
        assert_eq!(told[0].starts_with(&expected), !is_built, "{told:?}");
    }
}

#[cfg(feature = "s3")]
mod bucket {
    use super::*;

    fn s3(config: &Config) -> &S3Config {
        match &config.storage.driver {
            Driver::Bucket(bucket) => match &**bucket {
                BucketConfig::S3(s3) => s3,
                #[cfg(any(feature = "gcs", feature = "azure"))]
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn is_read() {
        let document = "storage: {s3: {bucket: b, region: r, regionendpoint: 'localhost:9000', secure: false, \
                        redirectendpoint: 'cdn.example', \
                        accesskey: a, secretkey: 007, rootdirectory: /x, chunksize: 1}}";
        let Parsed { config, warnings, .. } = good(document);
        let s3 = s3(&config);
        assert_eq!((s3.bucket.as_str(), s3.region.as_str(), s3.root.as_str()), ("b", "r", "/x"));
        assert_eq!(s3.endpoint.as_deref(), Some("http://localhost:9000"));
        assert_eq!(s3.redirect_endpoint.as_deref(), Some("http://cdn.example"));
        assert!(s3.path_style);
        assert_eq!(s3.credentials.as_ref().unwrap().secret_key, "007");
        assert!(!format!("{s3:?}{config}").contains("007"));
        assert_eq!(warnings, ["storage.s3.chunksize: has no effect: parts have a size of their own"]);
    }

    #[test]
    fn encrypts_and_stores_as_it_is_told() {
        let read = |rest: &str| {
            let Parsed { config, warnings, .. } = good(&format!("storage: {{s3: {{bucket: b, region: r{rest}}}}}"));
            (s3(&config).clone(), warnings)
        };
        let (plain, _) = read("");
        assert_eq!((&plain.encryption, &plain.storage_class, plain.verify), (&None, &None, true));
        let (kept, _) = read(", encrypt: true, keyid: arn, storageclass: standard_ia");
        assert_eq!(kept.encryption, Some(Encryption::Key("arn".into())));
        assert_eq!(kept.storage_class.as_deref(), Some("STANDARD_IA"));
        assert_eq!(read(", encrypt: true").0.encryption, Some(Encryption::Bucket));
        assert_eq!(read(", storageclass: NONE").0.storage_class, None);
        let (open, warnings) = read(", skipverify: true");
        assert!(!open.verify && warnings[0].starts_with("storage.s3.skipverify: anybody between"), "{warnings:?}");
    }

    #[test]
    fn is_refused_if_it_is_not_whole_or_would_be_weaker() {
        assert_eq!(
            refused("storage: {s3: {accesskey: a, keyid: k, storageclass: cheap, secure: false}}"),
            [
                "storage.s3.bucket: missing",
                "storage.s3.region: missing",
                "storage.s3.secure: false needs a regionendpoint, for Amazon is only reached by https",
                "storage.s3.secretkey: missing, though there is an accesskey",
                "storage.s3.keyid: without encrypt: true nothing is encrypted with it",
                "storage.s3.storageclass: not one of NONE, STANDARD, REDUCED_REDUNDANCY, STANDARD_IA, ONEZONE_IA, \
                 INTELLIGENT_TIERING, OUTPOSTS, GLACIER_IR",
            ]
        );
    }
}

#[cfg(feature = "gcs")]
#[test]
fn a_bucket_of_google_is_read() {
    let document = "storage: {gcs: {bucket: b, keyfile: /k.json, rootdirectory: /x, chunksize: 1, colour: red}}";
    let Parsed { config, warnings, .. } = good(document);
    let expected = GcsConfig { bucket: "b".into(), root: "/x".into(), key_file: Some("/k.json".into()) };
    assert_eq!(config.storage.driver, Driver::Bucket(Box::new(BucketConfig::Gcs(expected))));
    assert_eq!(
        warnings,
        [
            "storage.gcs.chunksize: has no effect: parts have a size of their own",
            "storage.gcs.colour: unknown, and ignored",
        ]
    );
    assert_eq!(
        refused("storage: {gcs: {credentials: {type: service_account, private_key: hush}}}"),
        [
            "storage.gcs.bucket: missing",
            "storage.gcs.credentials: not here: put them into a file, and name it by keyfile"
        ]
    );
}

#[cfg(feature = "azure")]
#[test]
fn a_container_of_azure_is_read() {
    let read = |rest: &str| {
        let document = format!("storage: {{azure: {{accountname: a, container: c, {rest}}}}}");
        let Parsed { config, warnings, .. } = good(&document);
        match config.storage.driver {
            Driver::Bucket(bucket) => match *bucket {
                BucketConfig::Azure(azure) => (azure, warnings),
                #[cfg(any(feature = "s3", feature = "gcs"))]
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    };
    let (azure, warnings) = read("accountkey: hush, rootdirectory: x, max_retries: 5");
    assert_eq!((azure.endpoint.as_str(), azure.key.as_deref()), ("https://a.blob.core.windows.net", Some("hush")));
    assert!(azure.verify && azure.root == "x" && !format!("{azure:?}").contains("hush"));
    assert_eq!(warnings, ["storage.azure.max_retries: has no effect: requests are tried again as each of them allows"]);
    let (azure, _) = read("realm: core.chinacloudapi.cn, credentials: {type: default_credentials}");
    assert_eq!((azure.endpoint.as_str(), azure.key), ("https://a.blob.core.chinacloudapi.cn", None));
    let (azure, _) = read("accountkey: k, serviceurl: 'http://127.0.0.1:10000/a'");
    assert_eq!(azure.endpoint, "http://127.0.0.1:10000/a");
    assert_eq!(
        refused("storage: {azure: {connectionstring: hush, credentials: {type: client_secret, secret: hush}}}"),
        [
            "storage.azure.accountname: missing",
            "storage.azure.container: missing",
            "storage.azure.credentials.type: client_secret: put AZURE_TENANT_ID, AZURE_CLIENT_ID and \
             AZURE_CLIENT_SECRET into the environment, and take default_credentials",
            "storage.azure.connectionstring: not here: name accountname, accountkey and, if it is another, serviceurl",
        ]
    );
    assert_eq!(refused("storage: {azure: {accountname: a, container: c}}").len(), 1);
}

#[test]
fn clients_are_led_to_the_bucket_unless_that_is_off() {
    let redirects = |text: &str| good(&format!("storage: {{inmemory: , redirect: {text}}}")).config.storage.redirects;
    assert_eq!(redirects("{}"), Some(Duration::from_mins(20)));
    assert_eq!(redirects("{disable: false, expiry: 1h}"), Some(Duration::from_hours(1)));
    assert_eq!(redirects("{disable: true}"), None);
    for wrong in ["{disable: perhaps}", "{expiry: 0s}", "{expiry: 200h}"] {
        assert_eq!(refused(&format!("storage: {{inmemory: , redirect: {wrong}}}")).len(), 1, "{wrong}");
    }
}

#[cfg(feature = "s3")]
#[test]
fn what_is_kept_on_a_disk_comes_from_there() {
    let read = |text: &str| good(&format!("storage: {{s3: {{bucket: b, region: r}}, {text}}}"));
    let cached = "cache: {disk: {rootdirectory: /c, maxsize: 1GB}}";
    let Parsed { config, warnings, .. } = read(cached);
    let expected = DiskCacheConfig { root: "/c".into(), limit_bytes: 1 << 30 };
    assert_eq!((config.storage.disk_cache.as_ref(), config.storage.redirects), (Some(&expected), None));
    assert!(config.to_string().contains("\nstorage.cache.disk: /c, 1073741824 bytes at most\n"), "{config}");
    assert_eq!(warnings, [""; 0]);
    assert_eq!(read(&format!("{cached}, redirect: {{disable: false}}")).warnings.len(), 1);
    assert_eq!(read("redirect: {disable: false}").config.storage.redirects, Some(Duration::from_mins(20)));
}

#[test]
fn the_harmless_rest_warns_by_name() {
    let document = "
loglevel: warn
log: {hooks: [{type: mail}]}
storage: {inmemory: , cache: {blobdescriptor: inmemory}, redirect: {disable: true}, tag: {concurrencylimit: 8}}
http: {colour: red}
redis: {addr: x}
policy: {repository: {classes: [image]}}
compatibility: {schema1: {enabled: true}}
reporting: {bugsnag: {apikey: x}}
surprise: 1
";
    let Parsed { config, warnings, .. } = good(document);
    assert_eq!(config.log.level, LogLevel::Warn);
    let names: Vec<_> = warnings.iter().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(
        names,
        [
            "loglevel",
            "log.hooks",
            "storage.cache.blobdescriptor",
            "storage.tag",
            "http.colour",
            "compatibility",
            "policy",
            "redis",
            "reporting",
            "surprise",
        ]
    );
}

#[test]
fn a_version_must_be_there() {
    assert_eq!(problems("storage: inmemory", &[]), ["version: missing: it must be 0.1"]);
    assert_eq!(problems("version:\nstorage: inmemory", &[]), ["version: missing: it must be 0.1"]);
}

#[test]
fn a_file_that_is_not_yaml_is_told_with_its_place() {
    let told = problems("version: 0.1\nversion: 0.1\n", &[("REGISTRY_HTTP_ADDR", "[")]);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("the file: line 2, column "), "{told:?}");
    assert!(told[1].starts_with("REGISTRY_HTTP_ADDR: the value is not YAML"), "{told:?}");
}

#[test]
fn addresses() {
    for (addr, host, port) in [
        ("':5000'", "", 5000),
        ("localhost:80", "localhost", 80),
        ("0.0.0.0:1", "0.0.0.0", 1),
        ("''", "127.0.0.1", 5000),
    ] {
        let listen = good(&format!("http: {{addr: {addr}}}")).config.http.listen;
        assert_eq!(listen, Listen::Tcp { host: host.into(), port }, "{addr}");
    }
    assert_eq!(good("http: {net: unix, addr: /run/r.sock}").config.http.listen, Listen::Unix("/run/r.sock".into()));
    for bad in ["'5000'", "'::1:5000'", "'a:'", "'a:b'", "'a:65536'", "'[::1:5000'", "'a b:1'", "'a:+1'"] {
        assert_eq!(refused(&format!("http: {{addr: {bad}}}")).len(), 1, "{bad}");
    }
}

#[test]
fn prefixes() {
    for (written, meant) in [("/a/", "/a"), ("/a/b", "/a/b"), ("/", ""), ("''", "")] {
        assert_eq!(good(&format!("http: {{prefix: {written}}}")).config.http.prefix.as_str(), meant, "{written}");
    }
    for bad in ["/a//b", "/../a", "'/a b'", "'/a?b'"] {
        assert_eq!(refused(&format!("http: {{prefix: {bad}}}")).len(), 1, "{bad}");
    }
}

#[test]
fn a_host_that_is_no_address_is_left_out_as_it_always_was() {
    let Parsed { config, warnings, .. } = good("http: {host: registry.example.com}");
    assert_eq!((config.http.host, warnings.len()), (None, 1));
}

#[test]
fn addresses_of_layers_follow_the_patterns() {
    let urls = "validation: {manifests: {urls: {allow: ['^https://ok\\.example/'], deny: [secret]}}}";
    let rule = good(urls).config.validation.urls.unwrap();
    assert!(rule("https://ok.example/x") && !rule("https://no.example/x") && !rule("https://ok.example/secret"));
    assert!(good("").config.validation.urls.is_none());
    let told = refused("validation: {manifests: {urls: {allow: ['(']}}}");
    assert_eq!(told, ["validation.manifests.urls.allow: not a regular expression: \"(\""]);
}

#[test]
fn validation_can_be_switched_off() {
    use registry_core::{Platforms, References};
    let validation = good("validation: {disabled: true}").config.validation;
    assert_eq!((validation.references, validation.platforms), (References::Sparse, Platforms::None));
    let validation = good("validation: {enabled: true, disabled: true}").config.validation;
    assert_eq!((validation.references, validation.platforms), (References::Required, Platforms::All));
}

#[test]
fn limits_of_nothing_are_the_default() {
    let pages = good("catalog: {maxentries: -3}\ntags: {maxtags: 0}").config.pages;
    assert_eq!(pages, PagesConfig { catalog_entries: 1000, tags: 1000 });
}

#[test]
fn purging_can_be_switched_off_and_not_run_all_the_time() {
    let purging = |fields: &str| format!("storage: {{inmemory: , maintenance: {{uploadpurging: {{{fields}}}}}}}");
    assert_eq!(good(&purging("enabled: false, age: 0")).config.storage.upload_purging, None);
    assert_eq!(
        refused(&purging("interval: 0")),
        ["storage.maintenance.uploadpurging.interval: must be longer than nothing"]
    );
}

proptest! {
    #[test]
    fn never_panics(document in "(?s).{0,80}", value in ".{0,20}") {
        let variables = [("REGISTRY_STORAGE".to_owned(), value)];
        let _ = parse(Some(&document), variables, &mut |_| Ok(String::new()));
    }
}
