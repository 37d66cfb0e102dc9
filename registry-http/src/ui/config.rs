//! The configuration of an image, read for people.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What an image says of itself (OCI image specification, config).
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct ImageConfig {
    #[serde(default)]
    pub(super) architecture: String,
    #[serde(default)]
    pub(super) os: String,
    #[serde(default)]
    pub(super) variant: String,
    #[serde(default)]
    pub(super) created: Option<String>,
    #[serde(default)]
    config: Option<Run>,
    #[serde(default)]
    history: Option<Vec<Step>>,
}

/// The keys of an object whose values say nothing.
#[derive(Debug, Clone, Default)]
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object: BTreeMap<String, serde_json::Value> = Deserialize::deserialize(deserializer)?;
        Ok(Self(object.into_keys().collect()))
    }
}

/// How it is run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Run {
    env: Option<Vec<String>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    user: Option<String>,
    working_dir: Option<String>,
    exposed_ports: Option<Names>,
    volumes: Option<Names>,
    labels: Option<BTreeMap<String, String>>,
    stop_signal: Option<String>,
}

/// One step of how it was made.
#[derive(Debug, Clone, Deserialize)]
struct Step {
    #[serde(default)]
    created_by: String,
    #[serde(default)]
    empty_layer: bool,
}

impl ImageConfig {
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// The machine that the image is for, if it says one.
    pub(super) fn machine(&self) -> Option<String> {
        if self.os.is_empty() {
            return None;
        }
        let variant = if self.variant.is_empty() { String::new() } else { format!("/{}", self.variant) };
        Some(format!("{}/{}{variant}", self.os, self.architecture))
    }

    /// How the image is run: what it is called, and what it is, without environment and labels.
    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        let Some(run) = &self.config else { return Vec::new() };
        let words = |words: &Option<Vec<String>>| words.as_ref().map(|words| shell(words));
        let keys = |names: &Option<Names>| names.as_ref().map(|names| names.0.join(", "));
        let settings = [
            ("Entrypoint", words(&run.entrypoint)),
            ("Command", words(&run.cmd)),
            ("User", run.user.clone()),
            ("Working directory", run.working_dir.clone()),
            ("Ports", keys(&run.exposed_ports)),
            ("Volumes", keys(&run.volumes)),
            ("Stop signal", run.stop_signal.clone()),
        ];
        settings
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)))
            .collect()
    }

    /// The variables of its environment, in their order.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        let variables = self.config.as_ref().and_then(|run| run.env.as_ref());
        let split = |line: &String| {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            (name.to_owned(), value.to_owned())
        };
        variables.into_iter().flatten().map(split).collect()
    }

    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        self.config.as_ref().and_then(|run| run.labels.clone()).unwrap_or_default()
    }

    /// The instruction that each of so many layers came from. Where the history does not tell, there is none.
    pub(super) fn instructions_of_layers(&self, layers: usize) -> Vec<String> {
        let steps = self.history.iter().flatten().filter(|step| !step.empty_layer);
        let instructions: Vec<String> = steps.map(|step| instruction(&step.created_by)).collect();
        if instructions.len() == layers { instructions } else { vec![String::new(); layers] }
    }

    /// A Dockerfile that says what the history says. It cannot say what the base was, nor what was copied.
    pub(super) fn dockerfile(&self) -> Option<String> {
        let steps = self.history.as_ref().filter(|steps| !steps.is_empty())?;
        let lines = steps.iter().map(|step| instruction(&step.created_by)).filter(|line| !line.is_empty());
        Some(lines.collect::<Vec<_>>().join("\n"))
    }

    /// Everything that can differ between two images, by name.
    pub(super) fn flat(&self) -> BTreeMap<String, String> {
        let settings = self.settings().into_iter().map(|(name, value)| (name.to_owned(), value));
        let environment = self.environment().into_iter().map(|(name, value)| (format!("Environment {name}"), value));
        let labels = self.labels().into_iter().map(|(name, value)| (format!("Label {name}"), value));
        let machine = self.machine().map(|machine| ("Platform".to_owned(), machine));
        settings.chain(environment).chain(labels).chain(machine).collect()
    }
}

/// What a step of a history was in a Dockerfile, as the builders write them.
fn instruction(created_by: &str) -> String {
    let text = created_by.trim();
    let text = text.strip_suffix("# buildkit").unwrap_or(text).trim_end();
    if let Some(rest) = text.split_once("#(nop)").map(|(_, rest)| rest) {
        return rest.trim().to_owned();
    }
    let command = text.strip_prefix("RUN /bin/sh -c").or_else(|| text.strip_prefix("/bin/sh -c"));
    match command {
        Some(command) => format!("RUN {}", command.trim()),
        None => text.to_owned(),
    }
}

/// Words as a shell takes them.
fn shell(words: &[String]) -> String {
    let plain = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&byte))
    };
    let quoted =
        words.iter().map(|word| if plain(word) { word.clone() } else { format!("'{}'", word.replace('\'', "'\\''")) });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histories_read_as_dockerfiles() {
        for (created_by, expected) in [
            ("/bin/sh -c #(nop) ADD file:ab in / ", "ADD file:ab in /"),
            ("/bin/sh -c #(nop)  CMD [\"sh\"]", "CMD [\"sh\"]"),
            ("/bin/sh -c apt-get update", "RUN apt-get update"),
            ("RUN /bin/sh -c make # buildkit", "RUN make"),
            ("COPY a b # buildkit", "COPY a b"),
            ("", ""),
        ] {
            assert_eq!(instruction(created_by), expected);
        }
    }

    #[test]
    fn configurations_are_read_as_far_as_they_go() {
        let json = br#"{"architecture":"arm64","os":"linux","variant":"v8","config":{"Env":["A=b=c","D"],"Cmd":["sh","-c","a b"],
            "ExposedPorts":{"80/tcp":{}},"Labels":{"l":"1"},"User":""},
            "history":[{"created_by":"/bin/sh -c #(nop) ADD x"},{"created_by":"ENV A=b","empty_layer":true},{"created_by":"RUN /bin/sh -c y"}]}"#;
        let config = ImageConfig::parse(json).unwrap();
        assert_eq!(config.machine().unwrap(), "linux/arm64/v8");
        assert_eq!(config.settings(), [("Command", "sh -c 'a b'".to_owned()), ("Ports", "80/tcp".to_owned())]);
        assert_eq!(config.environment(), [("A".into(), "b=c".into()), ("D".into(), String::new())]);
        assert_eq!(config.instructions_of_layers(2), ["ADD x", "RUN y"]);
        assert_eq!(config.instructions_of_layers(3), ["", "", ""]);
        assert_eq!(config.dockerfile().unwrap(), "ADD x\nENV A=b\nRUN y");
        assert_eq!(config.flat()["Label l"], "1");
        assert!(ImageConfig::parse(b"7").is_none());
        assert!(ImageConfig::parse(b"{}").unwrap().dockerfile().is_none());
    }
}
