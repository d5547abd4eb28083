//! `rp explain`: what a configuration does with a request, without sending anything.

mod json;
mod text;

use std::io::IsTerminal as _;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri, Version};

use super::{Format, Outcome, complain, default_file, findings};
use crate::check::Value as _;
use crate::check::value::Size;
use crate::server::rehearse::{Played, Reply, Request, Scene, Stage, Unplayable};
use crate::server::{Refused, Source};

#[derive(Debug, Args)]
#[command(override_usage = "rp explain [METHOD] URL [OPTIONS]")]
pub struct Explain {
    /// The request: `https://example.com/api`, or with its method before it: `POST https://example.com/api`
    #[arg(required = true, num_args = 1..=2, value_name = "[METHOD] URL")]
    request: Vec<String>,
    /// The same as a method before the URL
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// A field of the request, as `Name: value`; may be given many times
    #[arg(short = 'H', long = "header", value_name = "FIELD")]
    headers: Vec<String>,
    /// The address that the connection comes from
    #[arg(long, value_name = "IP", default_value = "192.0.2.1")]
    from: IpAddr,
    /// The size of the request's body, such as 10MiB
    #[arg(long, value_name = "SIZE")]
    body: Option<String>,
    /// Ask over HTTP/2
    #[arg(long)]
    http2: bool,
    /// What the server would answer, where the request goes to one
    #[arg(long, value_name = "STATUS", default_value = "200")]
    reply: u16,
    /// The configuration
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// For programs
    #[arg(long)]
    json: bool,
}

impl Explain {
    /// 0: explained, whatever the answer. 1: the configuration has mistakes. 2: this cannot be asked.
    pub fn execute(&self) -> Outcome {
        let (request, reply) = match self.read() {
            Ok(both) => both,
            Err(why) => return complain(why),
        };
        let source = Source::File(self.config.clone().unwrap_or_else(default_file));
        let stage = match Stage::set(&source) {
            Ok(stage) => stage,
            Err(Refused { findings, sources }) => {
                findings::print(&findings, &sources, Format::Text);
                return Outcome::Mistakes;
            }
        };
        let scene = match stage.scene() {
            Ok(scene) => scene,
            Err(mistakes) => {
                findings::print(&mistakes, &stage.sources, Format::Text);
                return Outcome::Mistakes;
            }
        };
        match play(&scene, &request, &reply) {
            Ok(played) if self.json => println!("{:#}", json::render(&stage, &request, &played)),
            Ok(played) => {
                let color = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
                print!("{}", text::render(&stage, &request, &played, color));
            }
            Err(why) => return complain(why),
        }
        Outcome::Clean
    }

    fn read(&self) -> Result<(Request, Reply), String> {
        let (method, url) = match (self.request.as_slice(), &self.method) {
            ([url], method) => (method.as_deref().unwrap_or("GET"), url),
            ([method, url], None) => (method.as_str(), url),
            ([_, _], Some(_)) => return Err("the method is given twice".to_owned()),
            _ => return Err("a URL is missing".to_owned()),
        };
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| format!("`{method}` is no method"))?;
        let uri: Uri = url.parse().map_err(|_| format!("`{url}` is no URL: write https://example.com/path"))?;
        let status = StatusCode::from_u16(self.reply).map_err(|_| format!("`{}` is no status", self.reply))?;
        let request = Request {
            method,
            uri,
            version: if self.http2 { Version::HTTP_2 } else { Version::HTTP_11 },
            headers: self.headers.iter().map(|text| field(text)).collect::<Result<_, _>>()?,
            from: self.from,
            after: std::time::Duration::ZERO,
            body: match &self.body {
                Some(text) => Size::parse(text).map_err(|_| format!("`{text}` is no size: write 10MiB"))?.0,
                None => 0,
            },
        };
        Ok((request, Reply::Answer(status, HeaderMap::new())))
    }
}

/// On a runtime of its own: files are read as they are when serving.
pub(super) fn play(scene: &Scene<'_>, request: &Request, reply: &Reply) -> Result<Played, Unplayable> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Unplayable::Malformed(format!("no runtime: {error}")))?;
    tokio::task::LocalSet::new().block_on(&runtime, scene.play(request, reply))
}

fn field(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or_else(|| format!("`{text}` is no field: write 'Name: value'"))?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| format!("`{name}` is no field's name"))?;
    let value = HeaderValue::from_str(value.trim()).map_err(|_| format!("`{value}` is no field's value"))?;
    Ok((name, value))
}
