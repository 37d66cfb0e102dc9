//! Rules: who may do what to which repositories.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use crate::{Access, Action, Actions, AuthorizationError, Authorizer, Decision, Principal, RepositoryPattern};

/// Allows what some rule allows, and nothing else.
///
/// An access to a repository is allowed if each of its actions is, be it by different rules. The catalog is open to
/// whoever may pull something, because it lists only what they may pull. The base of the API is open to everyone who
/// has logged in, and to those who have not only if they may push somewhere. Whoever may do everything to every
/// repository may also maintain the registry.
///
/// ```
/// use registry_auth::{Access, Action, Authorizer, Decision, Policy, Principal, Rule, Subject};
///
/// // Everybody pulls; who has a name pushes below that name.
/// let policy = Policy::new(
///     vec![
///         Rule::new(vec![Subject::Anyone], vec!["**".parse()?], [Action::Pull].into()),
///         Rule::new(vec![Subject::Authenticated], vec!["{user}/**".parse()?], [Action::Push].into()),
///     ],
///     [].into(),
/// );
/// let push = Access::repository("ann/app".parse().unwrap(), [Action::Pull, Action::Push]);
/// # futures::executor::block_on(async {
/// assert_eq!(policy.authorize(&Principal::named("ann"), &push).await.unwrap(), Decision::Allow);
/// assert_eq!(policy.authorize(&Principal::named("bob"), &push).await.unwrap(), Decision::Deny);
/// # });
/// # Ok::<(), registry_auth::ParsePatternError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    rules: Vec<Rule>,
    groups: BTreeMap<String, BTreeSet<String>>,
}

/// Some people, some repositories, and what those may do to these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Who: any of these.
    pub who: Vec<Subject>,
    /// Which repositories: any that one of these matches.
    pub repositories: Vec<RepositoryPattern>,
    /// What.
    pub actions: Actions,
}

impl Rule {
    /// A rule that lets any of `who` do `actions` to whatever one of `repositories` matches.
    #[must_use]
    pub fn new(who: Vec<Subject>, repositories: Vec<RepositoryPattern>, actions: Actions) -> Self {
        Self { who, repositories, actions }
    }
}

/// Whom a rule is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// Those who came without credentials.
    Anonymous,
    /// Those who are known by a name, whichever.
    Authenticated,
    /// Everybody.
    Anyone,
    /// The one with this name.
    User(String),
    /// The members of this group; a group that the policy does not know has none.
    Group(String),
}

impl Policy {
    /// A policy of `rules`, in which `groups` gives the names of the members of each group.
    #[must_use]
    pub fn new(rules: Vec<Rule>, groups: BTreeMap<String, BTreeSet<String>>) -> Self {
        Self { rules, groups }
    }

    /// Whether there are names of repositories that `principal` may pull.
    #[must_use]
    pub fn may_read_something(&self, principal: &Principal) -> bool {
        self.may_somewhere(principal, Action::Pull)
    }

    /// Whether `principal` has `access`.
    #[must_use]
    pub fn allows(&self, principal: &Principal, access: &Access) -> bool {
        match access {
            // Docker and Podman ask for the base first, without credentials, and send those they have only to a
            // registry that answers with a challenge. Were the base open to all because all may pull, nobody could
            // push: the client would never log in. Podman goes on after the challenge of `Basic` without credentials
            // and pulls what is public; Docker gives up, which is the lesser evil. Only where pushing takes no login
            // either there is nothing to log in for.
            Access::Base => !principal.is_anonymous() || self.may_somewhere(principal, Action::Push),
            Access::Catalog => self.may_read_something(principal),
            Access::Maintenance => Action::ALL.into_iter().all(|action| self.may_everywhere(principal, action)),
            Access::Repository { name, actions } => {
                let may = |action| {
                    let mut rules = self.rules_for(principal, action);
                    rules.any(|rule| rule.repositories.iter().any(|pattern| pattern.matches(name, principal.name())))
                };
                !actions.is_empty() && actions.iter().all(may)
            }
        }
    }

    /// Whether somebody without a login may do this to every repository.
    #[must_use]
    pub fn lets_anybody(&self, action: Action) -> bool {
        self.may_everywhere(&Principal::anonymous(), action)
    }

    fn may_everywhere(&self, principal: &Principal, action: Action) -> bool {
        self.rules_for(principal, action).any(|rule| rule.repositories.iter().any(RepositoryPattern::is_everything))
    }

    fn may_somewhere(&self, principal: &Principal, action: Action) -> bool {
        let mut rules = self.rules_for(principal, action);
        rules.any(|rule| rule.repositories.iter().any(|pattern| pattern.can_match(principal.name())))
    }

    fn rules_for(&self, principal: &Principal, action: Action) -> impl Iterator<Item = &Rule> {
        let applies = move |rule: &&Rule| {
            rule.actions.contains(action) && rule.who.iter().any(|subject| self.is(principal, subject))
        };
        self.rules.iter().filter(applies)
    }

    fn is(&self, principal: &Principal, subject: &Subject) -> bool {
        match subject {
            Subject::Anonymous => principal.is_anonymous(),
            Subject::Authenticated => principal.name().is_some(),
            Subject::Anyone => true,
            Subject::User(user) => principal.name() == Some(user),
            Subject::Group(group) => {
                let members = self.groups.get(group);
                members.zip(principal.name()).is_some_and(|(members, name)| members.contains(name))
            }
        }
    }
}

#[async_trait]
impl Authorizer for Policy {
    async fn authorize(&self, principal: &Principal, access: &Access) -> Result<Decision, AuthorizationError> {
        Ok(Decision::allow_if(self.allows(principal, access)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule<const N: usize>(who: Subject, pattern: &str, actions: [Action; N]) -> Rule {
        Rule::new(vec![who], vec![pattern.parse().unwrap()], actions.into())
    }

    /// What somebody may do to a repository, in the order of [`Action::ALL`].
    fn may(policy: &Policy, who: &Principal, name: &str) -> String {
        let allows = |action| policy.allows(who, &Access::repository(name.parse().unwrap(), [action]));
        Action::ALL.into_iter().filter(|action| allows(*action)).collect::<Actions>().to_string()
    }

    fn opens(policy: &Policy, who: &Principal) -> (bool, bool) {
        (policy.allows(who, &Access::Base), policy.allows(who, &Access::Catalog))
    }

    #[test]
    fn without_rules_nobody_may_anything() {
        let policy = Policy::default();
        for who in [Principal::anonymous(), Principal::named("ann")] {
            assert_eq!(may(&policy, &who, "a"), "");
            assert!(!policy.allows(&who, &Access::Catalog));
            assert!(!policy.allows(&who, &Access::repository("a".parse().unwrap(), [])));
        }
    }

    #[test]
    fn public_pulls_do_not_keep_clients_from_logging_in() {
        let rules =
            vec![rule(Subject::Anyone, "**", [Action::Pull]), rule(Subject::Authenticated, "**", [Action::Push])];
        let policy = Policy::new(rules, BTreeMap::new());
        let (nobody, ann) = (Principal::anonymous(), Principal::named("ann"));
        assert_eq!(may(&policy, &nobody, "lib/a"), "pull");
        assert_eq!(may(&policy, &ann, "lib/a"), "pull,push");
        let both = Access::repository("lib/a".parse().unwrap(), [Action::Pull, Action::Push]);
        assert!(policy.allows(&ann, &both) && !policy.allows(&nobody, &both));
        assert_eq!(opens(&policy, &nobody), (false, true));
        assert_eq!(opens(&policy, &ann), (true, true));
    }

    #[test]
    fn rules_may_open_everything() {
        for (who, pattern, actions, open) in [
            (Subject::Anyone, "**", &Action::ALL[..], true),
            (Subject::Anonymous, "**", &[Action::Push], true),
            (Subject::Anyone, "**", &[Action::Pull], false),
            (Subject::Anyone, "a/**", &Action::ALL, false),
            (Subject::Authenticated, "**", &Action::ALL, false),
        ] {
            let rule = Rule::new(vec![who], vec![pattern.parse().unwrap()], actions.iter().copied().collect());
            assert_eq!(
                Policy::new(vec![rule], BTreeMap::new()).lets_anybody(Action::Push),
                open,
                "{pattern} {actions:?}"
            );
        }
    }

    #[test]
    fn who_may_push_without_a_login_is_not_asked_for_one() {
        let policy = Policy::new(vec![rule(Subject::Anonymous, "**", Action::ALL)], BTreeMap::new());
        assert_eq!(opens(&policy, &Principal::anonymous()), (true, true));
        let nowhere = Policy::new(vec![rule(Subject::Anyone, "{user}/**", Action::ALL)], BTreeMap::new());
        assert_eq!(opens(&nowhere, &Principal::anonymous()), (false, false));
    }

    #[test]
    fn users_who_only_pull_cannot_push() {
        let groups = BTreeMap::from([("readers".to_owned(), BTreeSet::from(["ann".to_owned()]))]);
        let rules = vec![
            rule(Subject::Group("readers".to_owned()), "**", [Action::Pull]),
            rule(Subject::Group("unknown".to_owned()), "**", Action::ALL),
            rule(Subject::User("ci".to_owned()), "**", [Action::Pull, Action::Push]),
        ];
        let policy = Policy::new(rules, groups);
        for (who, expected) in [("ann", "pull"), ("ci", "pull,push"), ("bob", ""), ("readers", "")] {
            assert_eq!(may(&policy, &Principal::named(who), "lib/a"), expected, "{who}");
        }
        assert_eq!(may(&policy, &Principal::anonymous(), "lib/a"), "");
        assert_eq!(opens(&policy, &Principal::named("bob")), (true, false));
        assert_eq!(opens(&policy, &Principal::anonymous()), (false, false));
    }

    #[test]
    fn who_may_do_everything_everywhere_maintains() {
        let rules = vec![
            rule(Subject::User("ann".to_owned()), "**", Action::ALL),
            rule(Subject::User("bob".to_owned()), "**", [Action::Pull, Action::Push]),
            rule(Subject::User("bob".to_owned()), "bob/**", Action::ALL),
            rule(Subject::User("eve".to_owned()), "**", [Action::Pull, Action::Push]),
            rule(Subject::User("eve".to_owned()), "**", [Action::Delete]),
        ];
        let policy = Policy::new(rules, BTreeMap::new());
        for (who, may) in [("ann", true), ("bob", false), ("eve", true), ("mallory", false)] {
            assert_eq!(policy.allows(&Principal::named(who), &Access::Maintenance), may, "{who}");
        }
        assert!(!policy.allows(&Principal::anonymous(), &Access::Maintenance));
    }

    #[test]
    fn teams_and_users_keep_to_their_own() {
        let groups = BTreeMap::from([("red".to_owned(), BTreeSet::from(["ann".to_owned()]))]);
        let rules = vec![
            rule(Subject::Group("red".to_owned()), "red/**", [Action::Pull, Action::Push]),
            rule(Subject::Authenticated, "home/{user}/**", Action::ALL),
        ];
        let policy = Policy::new(rules, groups);
        let (ann, bob) = (Principal::named("ann"), Principal::named("bob"));
        for (who, name, expected) in [
            (&ann, "red/a", "pull,push"),
            (&ann, "red", ""),
            (&ann, "redder/a", ""),
            (&ann, "home/ann/a/b", "pull,push,delete"),
            (&ann, "home/bob/a", ""),
            (&ann, "home/ann", ""),
            (&bob, "red/a", ""),
            (&bob, "home/bob/a", "pull,push,delete"),
            (&Principal::anonymous(), "home/bob/a", ""),
            (&Principal::named("bob/a"), "home/bob/a", ""),
            (&Principal::named("*"), "home/bob/a", ""),
        ] {
            assert_eq!(may(&policy, who, name), expected, "{who} {name}");
        }
        assert!(!policy.may_read_something(&Principal::named("Bob")));
        assert!(policy.may_read_something(&bob));
    }
}
