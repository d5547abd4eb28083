//! `signature`: what a request gives away of who sends it, or of what for. The lists are files beside this one, each a regular
//! expression a line.

use std::fmt;
use std::sync::LazyLock;

use http::header;
use regex::Regex;

use crate::check::{Value, Wrong};
use crate::http::exchange::Exchange;
use crate::http::step::Test;

/// One list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    Crawlers,
    Scanners,
    Tools,
    Probes,
    Sqli,
}

impl Value for Signature {
    const KIND: &'static str = "a signature";
    const EXAMPLE: &'static str = "crawlers, scanners, tools, probes or sqli";

    fn parse(text: &str) -> Result<Self, Wrong> {
        Ok(match text {
            "crawlers" => Self::Crawlers,
            "scanners" => Self::Scanners,
            "tools" => Self::Tools,
            "probes" => Self::Probes,
            "sqli" => Self::Sqli,
            _ => return Err(Wrong::kind()),
        })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crawlers => "crawlers",
            Self::Scanners => "scanners",
            Self::Tools => "tools",
            Self::Probes => "probes",
            Self::Sqli => "sqli",
        })
    }
}

/// Built once, by the first configuration that names it: at run time nothing is compiled.
static CRAWLERS: LazyLock<Regex> = LazyLock::new(|| any_of(include_str!("signature/crawlers.txt")));
static SCANNERS: LazyLock<Regex> = LazyLock::new(|| any_of(include_str!("signature/scanners.txt")));
static TOOLS: LazyLock<Regex> = LazyLock::new(|| any_of(include_str!("signature/tools.txt")));
static PROBES: LazyLock<Regex> = LazyLock::new(|| any_of(include_str!("signature/probes.txt")));
static SQLI: LazyLock<Regex> = LazyLock::new(|| any_of(include_str!("signature/sqli.txt")));
/// What servers of SQL skip or take for a space; bytes that are no text among it.
static BLANKS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"/\*!?\d*|\*/|\u{fffd}|\x00").expect("a constant"));

/// One expression for a list: time linear in what it is asked of (threat XL08).
fn any_of(list: &str) -> Regex {
    let lines = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let any: Vec<String> = lines.map(|line| format!("(?:{line})")).collect();
    Regex::new(&format!("(?i){}", any.join("|"))).expect("the lists are tested")
}

impl Signature {
    /// Compiles its list, so that no request waits for that.
    #[must_use]
    pub fn ready(self) -> Self {
        let list = match self {
            Self::Crawlers => &CRAWLERS,
            Self::Scanners => &SCANNERS,
            Self::Tools => &TOOLS,
            Self::Probes => &PROBES,
            Self::Sqli => &SQLI,
        };
        LazyLock::force(list);
        LazyLock::force(&BLANKS);
        self
    }

    fn holds(self, exchange: &Exchange) -> bool {
        match self {
            Self::Crawlers => CRAWLERS.is_match(agent(exchange)),
            Self::Scanners => SCANNERS.is_match(agent(exchange)),
            Self::Tools => TOOLS.is_match(agent(exchange)),
            Self::Probes => PROBES.is_match(exchange.target.path()),
            Self::Sqli => exchange.target.decoded_parameters().any(|text| is_sqli(&text)),
        }
    }
}

/// What a client calls itself; nothing where it does not say, or says what is no text.
fn agent(exchange: &Exchange) -> &str {
    exchange.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn is_sqli(text: &str) -> bool {
    SQLI.is_match(&BLANKS.replace_all(text, " "))
}

/// Any of several.
pub(super) struct Signatures(pub Vec<Signature>);

impl Test for Signatures {
    fn holds(&self, exchange: &mut Exchange) -> bool {
        self.0.iter().any(|signature| signature.holds(exchange))
    }
}

/// For `rp explain`: which of them it is.
pub(super) fn found(signatures: &[Signature], exchange: &Exchange) -> String {
    match signatures.iter().find(|signature| signature.holds(exchange)) {
        Some(Signature::Probes) => format!("`{}` is one of `probes`", exchange.target.path()),
        Some(Signature::Sqli) => format!("`{}` is one of `sqli`", exchange.target.query().unwrap_or_default()),
        Some(signature) => format!("`User-Agent` is `{}`, one of `{signature}`", agent(exchange)),
        None => "it has none of these".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_agent(agent: &str) -> Vec<Signature> {
        let exchange = Exchange::sample("/", &[("user-agent", agent)]);
        [Signature::Crawlers, Signature::Scanners, Signature::Tools]
            .into_iter()
            .filter(|signature| signature.ready().holds(&exchange))
            .collect()
    }

    #[test]
    fn s12_browsers_are_nothing_else() {
        for agent in [
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
            "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
            "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
            "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/108.0.0.0 Mobile Safari/537.36",
            "Mozilla/5.0 (Linux; Android 10; CUBOT NOTE 20) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36",
            "Mozilla/5.0 (Linux; Android 13; SAMSUNG SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36",
            "Opera/9.80 (Android; Opera Mini/36.2.2254/119.132; U; id) Presto/2.12.423 Version/12.16",
            "Lynx/2.9.0 libwww-FM/2.14 SSL-MM/1.4.1 GNUTLS/3.8.3",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Slack/4.39.90 Chrome/124.0 Electron/30.1.0 Safari/537.36",
            "okhttp/4.12.0",
            "Dalvik/2.1.0 (Linux; U; Android 12; M2101K6G)",
            "MyShop/7.2 (iOS 17.5; iPhone15,3) CFNetwork/1496 Darwin/23.5.0",
            "WhatsApp/2.24.11.79 A",
        ] {
            assert_eq!(by_agent(agent), [], "{agent}");
        }
    }

    #[test]
    fn s12_programs_are_what_they_say() {
        use Signature::{Crawlers, Scanners, Tools};
        for (agent, expected) in [
            ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", &[Crawlers][..]),
            (
                "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/116.0 Safari/537.36",
                &[Crawlers],
            ),
            ("Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)", &[Crawlers]),
            ("Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)", &[Crawlers]),
            ("Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)", &[Crawlers]),
            ("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", &[Crawlers]),
            (
                "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
                &[Crawlers],
            ),
            ("CCBot/2.0 (https://commoncrawl.org/faq/)", &[Crawlers]),
            ("my-scraper 1.0", &[Crawlers]),
            ("Scrapy/2.11.2 (+https://scrapy.org)", &[Crawlers, Tools]),
            ("sqlmap/1.8.4#stable (https://sqlmap.org)", &[Scanners]),
            ("Mozilla/5.00 (Nikto/2.1.6) (Evasions:None) (Test:000001)", &[Scanners]),
            ("Mozilla/5.0 zgrab/0.x", &[Scanners]),
            ("Mozilla/5.0 (compatible; Nmap Scripting Engine; https://nmap.org/book/nse.html)", &[Scanners]),
            ("Fuzz Faster U Fool v2.1.0-dev", &[Scanners]),
            ("curl/8.7.1", &[Tools]),
            ("Wget/1.24.5", &[Tools]),
            ("python-requests/2.32.3", &[Tools]),
            ("Go-http-client/1.1", &[Tools]),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0.0.0 Safari/537.36",
                &[Tools],
            ),
            ("", &[Tools]),
        ] {
            assert_eq!(by_agent(agent), expected, "{agent}");
        }
        assert!(Signature::Tools.holds(&Exchange::sample("/", &[])), "no name");
    }

    fn is_probe(path: &str) -> bool {
        Signature::Probes.ready().holds(&Exchange::sample(path, &[]))
    }

    #[test]
    fn s12_probes_are_told_by_their_paths() {
        for path in [
            "/.env",
            "/api/.env.production",
            "/%2eenv",
            "/.git/config",
            "/.aws/credentials",
            "/wp-login.php",
            "/blog/wp-admin/setup-config.php",
            "/phpMyAdmin/index.php",
            "/PHPMYADMIN/",
            "/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php",
            "/backup.zip",
            "/db.sql",
            "/actuator/heapdump",
            "/HNAP1/",
            "/+CSCOE+/logon.html",
        ] {
            assert!(is_probe(path), "{path}");
        }
        for path in [
            "/",
            "/index.html",
            "/.well-known/acme-challenge/x",
            "/.well-known/security.txt",
            "/environment",
            "/docs/git/config",
            "/login.php",
            "/blog/wp-login",
            "/wp-content/uploads/2024/05/a.jpg",
            "/actuator/health",
            "/manager",
            "/console",
            "/downloads/backup-tool.zip",
            "/database",
            "/articles/what-is-phpmyadmin",
            "/.github",
            "/autodiscover/autodiscover.xml",
        ] {
            assert!(!is_probe(path), "{path}");
        }
    }

    fn query_is_sqli(query: &str) -> bool {
        Signature::Sqli.ready().holds(&Exchange::sample(&format!("/search?{query}"), &[]))
    }

    #[test]
    fn s06_ways_into_sql_are_seen_through_their_spellings() {
        for query in [
            "id=1+union+select+1,2,3",
            "id=1%20UNION%20ALL%20SELECT%20NULL",
            "id=1+%75nion+%73elect+1",
            "id=1%2520%2575nion%2520select%25201",
            "id=1/**/union/**/select/**/1",
            "id=1/*!50000union*/+/*!50000select*/+1",
            "id=-1%0aunion%0d%0aselect%a01",
            "id=1%27+or+%271%27%3d%271",
            "id=1+or+1=1",
            "id=1)+and+(1=1",
            "user=admin%27--",
            "user=admin%27%23",
            "user=x%27+or+1=1--+",
            "a=1;drop+table+users",
            "a=1%3B%20DELETE%20FROM%20users",
            "id=(select+password+from+users+limit+1)",
            "id=1+and+sleep(5)",
            "id=1%27;waitfor+delay+%270:0:5%27--",
            "id=extractvalue(1,concat(0x7e,version()))",
            "x=1+into+outfile+%27/var/www/x.php%27",
            "id=1+order+by+99--",
            "id=@@version",
            "1%27+or+%271%27%3d%271",
        ] {
            assert!(query_is_sqli(query), "{query}");
        }
    }

    #[test]
    fn s06_what_people_write_is_no_sql() {
        for query in [
            "",
            "q=select+a+book+from+the+shelf",
            "q=union+of+workers+and+selection",
            "name=O%27Brien",
            "name=O%27Brien+or+O%27Neill",
            "q=rock+%27n%27+roll+and+soul",
            "q=%22this+and+that%22",
            "q=1+or+2+rooms",
            "q=black+and+white",
            "q=drop+table+lamp",
            "q=how+to+sleep+(better)",
            "q=benchmark+(2024)",
            "q=C%23+--+the+language",
            "q=it%27s+--+well+--+fine",
            "filter=price%3E10+and+price%3C20",
            "sort=name&order=by",
            "q=order+by+phone",
            "a=1&b=2&or=1&and=2",
            "text=He+said+%22yes%22+--+and+left",
            "redirect=https%3A%2F%2Fexample.com%2F%3Fa%3D1%26b%3D2",
            "q=having+2+kids",
            "q=5%27+10%22+tall",
            "json=%7B%22a%22%3A1%2C%22b%22%3A%22x+or+y%22%7D",
            "q=100%25+cotton",
        ] {
            assert!(!query_is_sqli(query), "{query}");
        }
        // Known, and not worth a hole: these two words stand side by side in no other sentence.
        assert!(query_is_sqli("q=student+union+select+committee"));
    }

    #[test]
    fn xl08_hostile_queries_take_linear_time() {
        let started = std::time::Instant::now();
        for piece in ["union ", "((((", "1 or ", "select select ", "'", "a'--", "/*/*", "%2525"] {
            let query = piece.repeat(8000 / piece.len());
            let _ = is_sqli(&query);
        }
        // Some milliseconds each without optimization; exponential time would be years.
        assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());
    }
}
