//! The codes. Each is stable for ever: a retired one is never given to something else.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Warning,
    Error,
}

macro_rules! codes {
    ($($code:ident $severity:ident $title:literal,)*) => {
        /// A finding's stable code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $(#[doc = $title] $code,)* }

        impl Code {
            pub const ALL: &[Code] = &[$(Code::$code,)*];

            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $(Code::$code => Severity::$severity,)* }
            }

            /// What findings of this code have in common.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Code::$code => $title,)* }
            }

            /// What it means and what to do, with an example that has it and one that does not: Markdown, as it lies in
            /// `docs/findings`. [`super::page`] shows it on a terminal.
            #[must_use]
            pub fn page(self) -> &'static str {
                match self {
                    $(Code::$code => {
                        include_str!(concat!("../../docs/findings/", stringify!($code), ".md"))
                    })*
                }
            }

            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$code => stringify!($code),)* }
            }
        }
    };
}

codes! {
    E0001 Error "a `}` without its `{`",
    E0002 Error "a block that is never closed",
    E0003 Error "a string that is never closed",
    E0004 Error "an unknown escape",
    E0005 Error "a brace that is neither a placeholder nor a block",
    E0006 Error "a heredoc that is never closed",
    E0007 Error "two words without a space between them",
    E0008 Error "something nested too deeply, or that makes too much of little",
    E0009 Error "a file that cannot be read",
    E0010 Error "an unknown directive",
    E0011 Error "an unknown option",
    E0012 Error "an unknown placeholder",
    E0013 Error "an unknown matcher",
    E0014 Error "an unknown upstream",
    E0015 Error "an unknown snippet",
    E0016 Error "a semicolon that ends a line",
    E0017 Error "a block without a statement before it",
    E0018 Error "a character that means nothing here",
    E0019 Error "a statement behind a block, on the same line",
    E0020 Error "a value of the wrong kind",
    E0021 Error "a value out of range",
    E0022 Error "a missing argument",
    E0023 Error "a surplus argument",
    E0024 Error "something said twice",
    E0025 Error "a missing block",
    E0026 Error "a block where none is taken",
    E0027 Error "a statement in a place that does not take it",
    E0028 Error "two things that exclude each other",
    E0029 Error "a placeholder where none can be known",
    E0030 Error "an import that loops",
    E0031 Error "an import that cannot be read",
    E0032 Error "an environment variable that is not set",
    E0033 Error "a matcher expression that cannot be read",
    E0034 Error "a snippet that uses itself",
    E0035 Error "a header field that rp writes itself",
    E0040 Error "two sites with one address",
    E0041 Error "a port that two protocols claim",
    E0042 Error "a matcher that refers to itself",
    E0050 Error "a certificate or key that cannot be used",
    E0051 Error "a certificate and key that do not belong together",
    E0052 Error "an address that cannot be listened on",
    E0053 Error "a file or folder that is not there",
    E0054 Error "a configuration without a site",
    E0055 Error "a user that rp cannot become",
    E0060 Error "an expectation that is not met",
    W0001 Warning "a statement that can never run",
    W0002 Warning "a route that an earlier one covers",
    W0003 Warning "a site that never answers",
    W0004 Warning "an import that matches no file",
    W0005 Warning "an upstream that nothing uses",
    W0006 Warning "a snippet that nothing uses",
    W0007 Warning "a matcher that nothing uses",
    W0008 Warning "a matcher that cannot hold",
    W0009 Warning "an option without effect",
    W0010 Warning "an upstream without servers",
    W0011 Warning "a key that others can read",
    W0012 Warning "a certificate that is not valid now",
    W0013 Warning "a certificate that clients may refuse",
    W0014 Warning "a limit that clients can step around",
    W0015 Warning "a public name with a certificate that no client trusts",
    W0016 Warning "a change to a field that another undoes",
    W0017 Warning "a limit that another makes useless",
    W0018 Warning "a statement below all that answers",
    W0019 Warning "a secret in plain text",
    W0020 Warning "credentials that are sent without TLS",
    W0021 Warning "a value that another of its list covers",
    W0022 Warning "a block with nothing in it",
    W0030 Warning "keys of TLS that are written to a file",
    W0031 Warning "a list of revoked certificates that is out of date",
    W0040 Warning "a comment for rp that it cannot read",
    W0041 Warning "an allowance for nothing",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
