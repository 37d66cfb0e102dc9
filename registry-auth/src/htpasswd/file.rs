//! The text of a password file, as Apache's `htpasswd -B` writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The dearest hash that is taken, as bcrypt counts: one login at 14 takes a second of a processor.
const MAX_COST: u32 = 14;
const MIN_COST: u32 = 4;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The longest password that bcrypt looks at, in bytes.
pub(super) const MAX_PASSWORD_BYTES: usize = 72;

/// The users of a password file and the hashes of their passwords.
#[derive(Clone, Default)]
pub struct HtpasswdUsers {
    hashes: BTreeMap<String, String>,
    /// What those are checked against who are not in the file.
    stand_in: Option<String>,
    /// The costs that there are, each once.
    costs: BTreeSet<u32>,
}

/// A line that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SkippedLine {
    /// Which one; the first is 1.
    pub line: usize,
    /// Why.
    pub reason: SkipReason,
}

/// Why a line cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SkipReason {
    /// There is no colon behind the user.
    #[error("no colon behind the user")]
    NoColon,
    /// The user is empty, or has control characters.
    #[error("not a name that a user can have")]
    User,
    /// The user stands again below, and that line counts.
    #[error("the user stands again below")]
    Duplicate,
    /// The line is not UTF-8.
    #[error("not UTF-8")]
    Encoding,
    /// The password is hashed in another way.
    #[error("not a bcrypt hash ($2a$, $2b$ or $2y$)")]
    NotBcrypt,
    /// It begins like a bcrypt hash, and is none.
    #[error("a bcrypt hash that is broken")]
    Broken,
    /// To check it would take too long.
    #[error("a bcrypt hash with a cost beyond {MAX_COST}")]
    Cost,
}

impl fmt::Display for SkippedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl HtpasswdUsers {
    /// Reads the content of a file. What cannot be used is skipped, so that one bad line locks nobody else out. Of the
    /// lines of one user the last counts, good or bad: whoever appends a line means to change the password.
    #[must_use]
    pub fn parse(content: impl AsRef<[u8]>) -> (Self, Vec<SkippedLine>) {
        let content = content.as_ref();
        let content = content.strip_prefix(BYTE_ORDER_MARK).unwrap_or(content);
        let mut skipped = Vec::new();
        let mut entries = BTreeMap::new();
        for (index, line) in content.split(|byte| *byte == b'\n').enumerate() {
            let line_number = index + 1;
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let (user, hash) = match entry(line) {
                Ok(entry) => entry,
                Err(reason) => {
                    skipped.push(SkippedLine { line: line_number, reason });
                    continue;
                }
            };
            if let Some((line, _)) = entries.remove(user) {
                skipped.push(SkippedLine { line, reason: SkipReason::Duplicate });
            }
            match check(hash) {
                Ok(()) => drop(entries.insert(user, (line_number, hash))),
                Err(reason) => skipped.push(SkippedLine { line: line_number, reason }),
            }
        }
        skipped.sort_unstable_by_key(|skipped| skipped.line);
        let hashes = entries.into_iter().map(|(user, (_, hash))| (user.to_owned(), hash.to_owned()));
        let hashes: BTreeMap<_, _> = hashes.collect();
        let stand_in = hashes.values().max_by_key(|hash| cost(hash)).cloned();
        let costs = hashes.values().filter_map(|hash| cost(hash)).collect();
        (Self { hashes, stand_in, costs }, skipped)
    }

    /// How many users there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether nobody can log in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// The hash of a user's password.
    pub(super) fn hash(&self, user: &str) -> Option<&str> {
        self.hashes.get(user).map(String::as_str)
    }

    /// A hash of the highest cost in the file; what matches it proves nothing.
    pub(super) fn stand_in(&self) -> Option<&str> {
        self.stand_in.as_deref()
    }

    /// The costs in the file but that of this hash.
    pub(super) fn other_costs(&self, hash: &str) -> Vec<u32> {
        let own = cost(hash);
        self.costs.iter().copied().filter(|cost| Some(*cost) != own).collect()
    }
}

/// Shows how many there are, and nothing of theirs.
impl fmt::Debug for HtpasswdUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HtpasswdUsers({})", self.len())
    }
}

/// The user and the hash of a line.
fn entry(line: &[u8]) -> Result<(&str, &str), SkipReason> {
    let line = str::from_utf8(line).map_err(|_| SkipReason::Encoding)?;
    let (user, hash) = line.split_once(':').ok_or(SkipReason::NoColon)?;
    if user.is_empty() || user.chars().any(char::is_control) {
        return Err(SkipReason::User);
    }
    Ok((user, hash))
}

fn check(hash: &str) -> Result<(), SkipReason> {
    if !["$2a$", "$2b$", "$2y$"].iter().any(|start| hash.starts_with(start)) {
        return Err(SkipReason::NotBcrypt);
    }
    let in_alphabet = |byte: u8| byte.is_ascii_alphanumeric() || b"./".contains(&byte);
    let (cost, rest) = (cost(hash).ok_or(SkipReason::Broken)?, hash.get(7..).unwrap_or_default());
    if rest.len() != 53 || !rest.bytes().all(in_alphabet) || hash.as_bytes().get(6) != Some(&b'$') || cost < MIN_COST {
        return Err(SkipReason::Broken);
    }
    if cost > MAX_COST { Err(SkipReason::Cost) } else { Ok(()) }
}

/// The cost that a hash states.
pub(super) fn cost(hash: &str) -> Option<u32> {
    hash.get(4..6).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

/// A line that no password file can have.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HtpasswdLineError {
    /// The user is empty, or has a colon or control characters.
    #[error("a user has a name without colons and control characters")]
    User,
    /// The password is empty, or has control characters.
    #[error("a password is not empty and has no control characters")]
    Password,
    /// bcrypt would leave the end of the password out.
    #[error("a password has {MAX_PASSWORD_BYTES} bytes at most")]
    TooLong,
    /// The password cannot be hashed.
    #[error("the password cannot be hashed")]
    Hash(#[source] bcrypt::BcryptError),
}

/// One line of a password file, without a line break. `cost` is from 4 to 14; each step doubles the work of a guess.
///
/// # Errors
/// If the user or the password is none that could log in, or the cost is out of bounds.
pub fn htpasswd_line(user: &str, password: &str, cost: u32) -> Result<String, HtpasswdLineError> {
    if user.is_empty() || user.contains(':') || user.chars().any(char::is_control) || user.trim() != user {
        return Err(HtpasswdLineError::User);
    }
    if user.starts_with('#') {
        return Err(HtpasswdLineError::User);
    }
    if password.is_empty() || password.chars().any(char::is_control) {
        return Err(HtpasswdLineError::Password);
    }
    if password.len() > MAX_PASSWORD_BYTES {
        return Err(HtpasswdLineError::TooLong);
    }
    let parts = bcrypt::hash_with_result(password, cost.min(MAX_COST)).map_err(HtpasswdLineError::Hash)?;
    Ok(format!("{user}:{}", parts.format_for_version(bcrypt::Version::TwoY)))
}

#[cfg(test)]
mod tests {
    use super::SkipReason::{Broken, Cost, Duplicate, Encoding, NoColon, NotBcrypt, User};
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "$2y$05$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyzABCDE";

    fn reasons(text: &str) -> Vec<(usize, SkipReason)> {
        HtpasswdUsers::parse(text).1.iter().map(|skipped| (skipped.line, skipped.reason)).collect()
    }

    #[test]
    fn one_bad_line_locks_nobody_else_out() {
        assert_eq!(GOOD.len(), 60);
        let text = format!(
            "\u{feff}# people\r\n\r\nann:{GOOD}\r\nno colon\n:{GOOD}\nold:$apr1$x$y\nsha:{{SHA}}x\nplain:word\n\
             x:{}\nshort:$2y$05$abc\ndear:{}\n  bob:{GOOD}  \n",
            GOOD.replace("2y", "2x"),
            GOOD.replace("$05$", "$31$"),
        );
        let (users, skipped) = HtpasswdUsers::parse(&text);
        assert_eq!(
            reasons(&text),
            [
                (4, NoColon),
                (5, User),
                (6, NotBcrypt),
                (7, NotBcrypt),
                (8, NotBcrypt),
                (9, NotBcrypt),
                (10, Broken),
                (11, Cost)
            ]
        );
        assert_eq!((users.len(), users.hash("ann"), users.hash("bob")), (2, Some(GOOD), Some(GOOD)));
        assert_eq!(skipped[0].to_string(), "line 4: no colon behind the user");
    }

    /// As it is for Distribution: whoever appends a line with a new password has changed it.
    #[test]
    fn of_two_lines_of_a_user_the_last_counts() {
        let (first, second) = (GOOD.replace("abc", "xyz"), GOOD);
        let text = format!("ann:{first}\nbob:{first}\nann:{second}\neve:{first}\neve:$apr1$x$y\n");
        let (users, _) = HtpasswdUsers::parse(&text);
        assert_eq!((users.hash("ann"), users.hash("bob"), users.hash("eve")), (Some(second), Some(&*first), None));
        assert_eq!(reasons(&text), [(1, Duplicate), (4, Duplicate), (5, NotBcrypt)]);
    }

    #[test]
    fn a_line_in_another_encoding_locks_nobody_else_out() {
        let mut content = b"# M\xfcller\nm\xfcller:".to_vec();
        content.extend_from_slice(format!("{GOOD}\nann:{GOOD}\n").as_bytes());
        let (users, skipped) = HtpasswdUsers::parse(&content);
        assert_eq!((users.len(), skipped), (1, vec![SkippedLine { line: 2, reason: Encoding }]));
    }

    #[test]
    fn broken_hashes() {
        for broken in ["$2y$", "$2y$0x$", "$2y$05", "$2a$é", &GOOD[..59], &format!("{GOOD}A"), &GOOD.replace('b', "!")]
        {
            assert_eq!(reasons(&format!("u:{broken}")), [(1, SkipReason::Broken)], "{broken}");
        }
        assert_eq!(reasons(&format!("u:{}", GOOD.replace("$05$", "$03$"))), [(1, SkipReason::Broken)]);
    }

    #[test]
    fn strangers_cost_what_the_dearest_user_costs() {
        let (users, _) = HtpasswdUsers::parse(format!("a:{GOOD}\nb:{}\nc:{GOOD}", GOOD.replace("$05$", "$11$")));
        assert_eq!(users.stand_in().and_then(cost), Some(11));
        assert_eq!((users.other_costs(GOOD), users.other_costs(users.stand_in().unwrap())), (vec![11], vec![5]));
        assert_eq!(HtpasswdUsers::parse("").0.stand_in(), None);
    }

    #[test]
    fn lines_that_are_made_can_be_read() {
        let line = htpasswd_line("ann", &"x".repeat(72), 4).unwrap();
        assert!(line.starts_with("ann:$2y$04$") && line.len() == 64, "{line}");
        let (users, skipped) = HtpasswdUsers::parse(&line);
        assert!(skipped.is_empty());
        assert!(bcrypt::verify("x".repeat(72), users.hash("ann").unwrap()).unwrap());
        for (user, password) in [("", "x"), ("a:b", "x"), ("a\n", "x"), ("#a", "x"), (" a", "x")] {
            assert!(matches!(htpasswd_line(user, password, 4), Err(HtpasswdLineError::User)), "{user:?}");
        }
        assert!(matches!(htpasswd_line("a", "", 4), Err(HtpasswdLineError::Password)));
        assert!(matches!(htpasswd_line("a", "b\0", 4), Err(HtpasswdLineError::Password)));
        assert!(matches!(htpasswd_line("a", &"x".repeat(73), 4), Err(HtpasswdLineError::TooLong)));
        assert!(matches!(htpasswd_line("a", "b", 3), Err(HtpasswdLineError::Hash(_))));
    }

    #[test]
    fn hashes_do_not_show() {
        assert_eq!(format!("{:?}", HtpasswdUsers::parse(format!("a:{GOOD}")).0), "HtpasswdUsers(1)");
    }

    proptest! {
        #[test]
        fn never_panics(text in "([a:$2y05#\r\n\\.é]|\\PC){0,80}") {
            let (users, skipped) = HtpasswdUsers::parse(&text);
            prop_assert!(users.len() + skipped.len() <= text.lines().count());
        }
    }
}
