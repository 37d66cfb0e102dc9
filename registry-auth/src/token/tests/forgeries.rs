//! Tokens that claim a key which is not theirs.

use base64::engine::general_purpose::STANDARD;

use super::*;

/// What a forger makes of a token, and why it is refused.
#[track_caller]
fn refused(token: &str, why: Flaw) {
    assert_eq!(flaw(&logins(), token), Some(why));
}

#[test]
fn without_a_signature() {
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let head = with(header(), json!({"alg": alg}));
        let message = format!("{}.{}", part(&head), part(&claims()));
        refused(&format!("{message}."), Flaw::Algorithm);
        refused(&issuer().token(&head, &claims()), Flaw::Algorithm);
    }
    let token = issuer().token(&header(), &claims());
    refused(&token[..=token.rfind('.').unwrap()], Flaw::Signature);
    refused(&attacker().token(&header(), &claims()), Flaw::Signature);
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (head, _) = message.split_once('.').unwrap();
    let other = part(&with(claims(), json!({"sub": "root"})));
    refused(&format!("{head}.{other}.{signature}"), Flaw::Signature);
}

#[test]
fn with_a_public_key_as_shared_secret() {
    let pair = &issuer().pair;
    let pem = pair.public_key_pem();
    let der = rcgen::PublicKeyData::subject_public_key_info(pair);
    let secrets = [pem.as_bytes(), pem.trim_end().as_bytes(), &der, pair.public_key_raw()];
    let every =
        TokenAlgorithm::DEFAULT.into_iter().chain(["HS256", "HS384", "HS512"].map(|name| name.parse().unwrap()));
    let every = builder(issuer().keys()).algorithms(every).build();
    for secret in secrets {
        let key = EncodingKey::from_secret(secret);
        for (algorithm, name) in [(Algorithm::HS256, "HS256"), (Algorithm::HS384, "HS384"), (Algorithm::HS512, "HS512")]
        {
            let token = signed(&key, algorithm, &with(header(), json!({"alg": name})), &claims());
            refused(&token, Flaw::Algorithm);
            assert_eq!(flaw(&every, &token), Some(Flaw::UnknownKey));
        }
    }
}

#[test]
fn a_shared_secret_counts_where_it_is_allowed() {
    let secret = [7; 32];
    let mut keys = issuer().keys();
    let jwk = json!({"kty": "oct", "kid": "shared", "k": URL_SAFE_NO_PAD.encode(secret)});
    assert_eq!(keys.add_jwks(&jwk.to_string()), Ok(vec![]));
    let head = json!({"alg": "HS256", "kid": "shared"});
    let token = signed(&EncodingKey::from_secret(&secret), Algorithm::HS256, &head, &claims());
    assert_eq!(flaw(&builder(keys.clone()).build(), &token), Some(Flaw::Algorithm));
    assert_eq!(flaw(&builder(keys.clone()).algorithms([TokenAlgorithm::Hs256]).build(), &token), None);
    assert_eq!(flaw(&builder(keys).algorithms([TokenAlgorithm::Hs384]).build(), &token), Some(Flaw::Algorithm));
}

#[test]
fn with_a_key_that_it_brings_along() {
    let set: Value = serde_json::from_str(&attacker().jwks()).unwrap();
    let jwk = set["keys"][0].clone();
    for (changes, why) in [
        (json!({"kid": null, "jwk": with(jwk.clone(), json!({"kid": null}))}), Flaw::Keyless),
        (json!({"kid": null, "jwk": with(jwk.clone(), json!({"kid": "other"}))}), Flaw::UnknownKey),
        // CVE-2025-24976: the name of a trusted key on another one.
        (json!({"kid": null, "jwk": jwk}), Flaw::Signature),
        (json!({"jwk": jwk}), Flaw::Signature),
        (json!({"kid": "other", "jwk": jwk}), Flaw::UnknownKey),
        (json!({"kid": null, "jku": "https://evil.example/jwks"}), Flaw::Keyless),
        (json!({"jku": "https://evil.example/jwks"}), Flaw::Signature),
        (json!({"kid": null, "x5u": "https://evil.example/chain"}), Flaw::Keyless),
        (json!({"kid": null, "jwk": "one"}), Flaw::Form),
    ] {
        refused(&attacker().token(&with(header(), changes), &claims()), why);
    }
    // The trusted key is used, and its name is enough: the token server of Distribution names it there alone.
    let token = issuer().token(&with(header(), json!({"kid": null, "jwk": jwk})), &claims());
    assert_eq!(flaw(&logins(), &token), None);
}

#[test]
fn with_names_that_lead_nowhere() {
    for kid in ["", "two", "../../etc/passwd", "/dev/null", "one\0", "ONE", "' OR 1=1", &"x".repeat(4000)] {
        refused(&issuer().token(&with(header(), json!({"kid": kid})), &claims()), Flaw::UnknownKey);
    }
    refused(&issuer().token(&with(header(), json!({"kid": null})), &claims()), Flaw::Keyless);
    refused(&issuer().token(&with(header(), json!({"kid": ["one"]})), &claims()), Flaw::Form);
}

#[test]
fn with_an_algorithm_that_is_not_allowed_or_not_its_keys() {
    let only = builder(issuer().keys()).algorithms([TokenAlgorithm::Rs512]).build();
    assert_eq!(flaw(&only, &issuer().token(&header(), &claims())), Some(Flaw::Algorithm));
    for alg in ["ES256", "ES384", "EdDSA"] {
        refused(&issuer().token(&with(header(), json!({"alg": alg})), &claims()), Flaw::UnknownKey);
    }
    for alg in ["RS384", "PS256"] {
        refused(&issuer().token(&with(header(), json!({"alg": alg})), &claims()), Flaw::Signature);
    }
    for alg in ["ES512", "rs256", "RSA-OAEP", "A128KW", "ES256K"] {
        refused(&issuer().token(&with(header(), json!({"alg": alg})), &claims()), Flaw::Algorithm);
    }
    // A key that is for one algorithm only.
    let set: Value = serde_json::from_str(&issuer().jwks()).unwrap();
    let mut keys = TokenKeys::default();
    keys.add_jwks(&with(set["keys"][0].clone(), json!({"alg": "PS256"})).to_string()).unwrap();
    assert_eq!(flaw(&builder(keys).build(), &issuer().token(&header(), &claims())), Some(Flaw::UnknownKey));
}

#[test]
fn with_demands_that_are_not_known() {
    for crit in [json!(["exp"]), json!([]), json!("b64"), json!({})] {
        refused(&issuer().token(&with(header(), json!({"crit": crit})), &claims()), Flaw::Critical);
    }
    let mut null = header();
    null["crit"] = Value::Null;
    refused(&issuer().token(&null, &claims()), Flaw::Critical);
}

#[test]
fn in_other_forms() {
    let token = issuer().token(&header(), &claims());
    let parts: Vec<_> = token.split('.').collect();
    let twice = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","alg":"RS256","kid":"one"}"#);
    let list = URL_SAFE_NO_PAD.encode(r#"["RS256","one",null,null,null]"#);
    for forged in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{}", parts[2]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{token}="),
        format!("{twice}.{}.{}", parts[1], parts[2]),
        format!("{list}.{}.{}", parts[1], parts[2]),
        format!("{}.{}.{}", STANDARD.encode(r#"{"alg":"RS256" }"#), parts[1], parts[2]),
        format!("{}.{}.{}", URL_SAFE_NO_PAD.encode("[".repeat(5000)), parts[1], parts[2]),
    ] {
        refused(&forged, Flaw::Form);
    }
    let sign = |text: &str| {
        let message = format!("{}.{}", part(&header()), URL_SAFE_NO_PAD.encode(text));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &issuer().key, Algorithm::RS256).unwrap();
        format!("{message}.{signature}")
    };
    let good = claims().to_string();
    assert_eq!(flaw(&logins(), &sign(&good)), None);
    for text in [good.replacen('{', r#"{"iss":"issuer","#, 1), r#"["issuer","ann","service",9e9]"#.into(), "{}".into()]
    {
        refused(&sign(&text), Flaw::Claims);
    }
}
