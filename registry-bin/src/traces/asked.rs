//! Whether the environment asks for traces. The variables are those of OpenTelemetry.

const DISABLED: &str = "OTEL_SDK_DISABLED";
const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];

/// Whether the environment asks for traces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// It does not.
    No,
    /// They go to a collector.
    Yes,
}

/// What the environment asks for is not to be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable}={value:?} is not known here, so there are no traces; write {instead}")]
pub struct Unable {
    variable: &'static str,
    value: String,
    instead: &'static str,
}

impl Asked {
    /// Reads what `variable` gives for a name.
    ///
    /// # Errors
    /// If another exporter is asked for than `otlp`, or another protocol than `http/protobuf`.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Unable> {
        // OpenTelemetry has an empty variable mean the same as none.
        let set = |name| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        if set(DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(Self::No);
        }
        match set(EXPORTER).as_deref() {
            Some("none") => return Ok(Self::No),
            None if ENDPOINTS.into_iter().all(|name| set(name).is_none()) => return Ok(Self::No),
            None | Some("otlp") => {}
            Some(value) => return Err(Unable { variable: EXPORTER, value: value.into(), instead: "otlp or none" }),
        }
        // The first that is set holds.
        match PROTOCOLS.into_iter().find_map(|name| Some((name, set(name)?))) {
            Some((variable, value)) if value != "http/protobuf" => {
                Err(Unable { variable, value, instead: "http/protobuf, which collectors take at port 4318" })
            }
            _ => Ok(Self::Yes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(set: &[(&str, &str)]) -> Result<Asked, String> {
        let variable = |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Asked::of(variable).map_err(|unable| unable.to_string())
    }

    #[test]
    fn nothing_is_sent_unless_asked_for() {
        let endpoint = (ENDPOINTS[1], "http://collector:4318");
        for (set, wanted) in [
            (&[][..], Asked::No),
            (&[(EXPORTER, "")], Asked::No),
            (&[(EXPORTER, "none"), endpoint], Asked::No),
            (&[(ENDPOINTS[1], " ")], Asked::No),
            (&[(DISABLED, "TRUE"), endpoint], Asked::No),
            (&[(EXPORTER, "otlp")], Asked::Yes),
            (&[endpoint], Asked::Yes),
            (&[(ENDPOINTS[0], "http://collector:4318/v1/traces"), (DISABLED, "false")], Asked::Yes),
            (&[endpoint, (PROTOCOLS[0], "http/protobuf"), (PROTOCOLS[1], "grpc")], Asked::Yes),
        ] {
            assert_eq!(of(set), Ok(wanted), "{set:?}");
        }
    }

    #[test]
    fn what_cannot_be_had_is_named() {
        for set in [&[(EXPORTER, "console")][..], &[(EXPORTER, "otlp"), (PROTOCOLS[1], "grpc")]] {
            let (variable, value) = set[set.len() - 1];
            let text = of(set).unwrap_err();
            assert!(text.starts_with(&format!("{variable}={value:?} is not known here")), "{text}");
        }
    }
}
