//! What an editor asks, and who answers.

use std::path::PathBuf;
use std::rc::Rc;

use lsp_server::{ErrorCode, Notification, Request, Response, ResponseError};
use lsp_types::notification::{self, Notification as _};
use lsp_types::request::{self, Request as _};
use lsp_types::{
    CodeActionKind, CodeActionOptions, CodeActionProviderCapability, CompletionOptions, HoverProviderCapability, OneOf,
    RenameOptions, SemanticTokensFullOptions, SemanticTokensOptions, SemanticTokensServerCapabilities,
    ServerCapabilities, TextDocumentIdentifier, TextDocumentPositionParams, TextDocumentSyncCapability,
    TextDocumentSyncKind, TextEdit,
};
use serde_json::Value;

use super::configuration::Configuration;
use super::cursor::Cursor;
use super::workspace::{Document, Workspace};
use super::{actions, complete, hover, navigate, symbols, tokens, uri};
use crate::diagnostic::FileId;
use crate::syntax::format::format;

/// What this server can do.
pub(super) fn capabilities() -> ServerCapabilities {
    let signs = ["{", "@", "/", ".", " "].map(str::to_owned).to_vec();
    ServerCapabilities {
        text_document_sync: Some(TextDocumentSyncCapability::Kind(TextDocumentSyncKind::FULL)),
        hover_provider: Some(HoverProviderCapability::Simple(true)),
        completion_provider: Some(CompletionOptions {
            trigger_characters: Some(signs),
            ..CompletionOptions::default()
        }),
        definition_provider: Some(OneOf::Left(true)),
        references_provider: Some(OneOf::Left(true)),
        rename_provider: Some(OneOf::Right(RenameOptions {
            prepare_provider: Some(true),
            work_done_progress_options: lsp_types::WorkDoneProgressOptions::default(),
        })),
        document_symbol_provider: Some(OneOf::Left(true)),
        document_formatting_provider: Some(OneOf::Left(true)),
        code_action_provider: Some(CodeActionProviderCapability::Options(CodeActionOptions {
            code_action_kinds: Some(vec![CodeActionKind::QUICKFIX]),
            ..CodeActionOptions::default()
        })),
        semantic_tokens_provider: Some(SemanticTokensServerCapabilities::SemanticTokensOptions(
            SemanticTokensOptions {
                legend: tokens::legend(),
                full: Some(SemanticTokensFullOptions::Bool(true)),
                ..SemanticTokensOptions::default()
            },
        )),
        ..ServerCapabilities::default()
    }
}

#[derive(Default)]
pub(super) struct Session {
    workspace: Workspace,
}

type Answer = Result<Value, ResponseError>;

impl Session {
    /// What is new about the files that are open.
    pub fn diagnose(&mut self) -> impl Iterator<Item = Notification> {
        let method = || notification::PublishDiagnostics::METHOD.to_owned();
        self.workspace.diagnose().into_iter().map(move |news| Notification::new(method(), news))
    }

    /// Whether there is something to check now.
    pub fn notified(&mut self, notification: Notification) -> bool {
        let Notification { method, params } = notification;
        match method.as_str() {
            notification::DidOpenTextDocument::METHOD => {
                let Some(opened) = read::<notification::DidOpenTextDocument>(params) else { return false };
                let opened = opened.text_document;
                let path = uri::path(&opened.uri);
                self.workspace.put(path, Document { uri: opened.uri, version: opened.version, text: opened.text });
            }
            notification::DidChangeTextDocument::METHOD => {
                let Some(mut changed) = read::<notification::DidChangeTextDocument>(params) else { return false };
                let path = uri::path(&changed.text_document.uri);
                let (Some(document), Some(last)) = (self.workspace.document(&path), changed.content_changes.pop())
                else {
                    return false;
                };
                (document.text, document.version) = (last.text, changed.text_document.version);
                self.workspace.changed();
            }
            notification::DidCloseTextDocument::METHOD => {
                let Some(closed) = read::<notification::DidCloseTextDocument>(params) else { return false };
                self.workspace.close(&uri::path(&closed.text_document.uri));
            }
            // Files that are imported and not open change on the disk.
            notification::DidSaveTextDocument::METHOD | notification::DidChangeWatchedFiles::METHOD => {
                self.workspace.changed();
            }
            _ => return false,
        }
        true
    }

    pub fn request(&mut self, asked: Request) -> Response {
        let Request { id, method, params } = asked;
        let answer = match method.as_str() {
            request::Formatting::METHOD => self.format(params),
            request::HoverRequest::METHOD => self.hover(params),
            request::Completion::METHOD => self.complete(params),
            request::GotoDefinition::METHOD => self.definition(params),
            request::References::METHOD => self.references(params),
            request::PrepareRenameRequest::METHOD => self.prepare_rename(params),
            request::Rename::METHOD => self.rename(params),
            request::DocumentSymbolRequest::METHOD => self.symbols(params),
            request::CodeActionRequest::METHOD => self.actions(params),
            request::SemanticTokensFullRequest::METHOD => self.tokens(params),
            _ => Err(wrong(ErrorCode::MethodNotFound, format!("`{method}` is not known here"))),
        };
        match answer {
            Ok(result) => Response::new_ok(id, result),
            Err(error) => Response::new_err(id, error.code, error.message),
        }
    }

    /// The file that is asked about, in its configuration.
    fn find(
        &mut self,
        document: &TextDocumentIdentifier,
    ) -> Result<(PathBuf, Rc<Configuration>, FileId), ResponseError> {
        let path = uri::path(&document.uri);
        let configuration = self.workspace.configuration(&path);
        let file = configuration.file(&path);
        let file = file.ok_or_else(|| wrong(ErrorCode::InvalidParams, "this file is not open".to_owned()))?;
        Ok((path, configuration, file))
    }

    fn place(&mut self, at: &TextDocumentPositionParams) -> Result<(Rc<Configuration>, FileId, u32), ResponseError> {
        let (_, configuration, file) = self.find(&at.text_document)?;
        let offset = configuration.offset(file, at.position);
        Ok((configuration, file, offset))
    }

    fn format(&mut self, params: Value) -> Answer {
        let asked = params_of::<request::Formatting>(params)?;
        let (_, configuration, file) = self.find(&asked.text_document)?;
        let before = &configuration.source(file).text;
        // What does not parse is left as it is: its findings are shown already.
        let Ok(new_text) = format(before) else { return told::<request::Formatting>(None) };
        let range = configuration.range(configuration.whole(file));
        let edits = if new_text == *before { Vec::new() } else { vec![TextEdit { range, new_text }] };
        told::<request::Formatting>(Some(edits))
    }

    fn hover(&mut self, params: Value) -> Answer {
        let asked = params_of::<request::HoverRequest>(params)?;
        let (configuration, file, offset) = self.place(&asked.text_document_position_params)?;
        let cursor = Cursor::new(&configuration, file, offset);
        told::<request::HoverRequest>(hover::hover(&configuration, &cursor))
    }

    fn complete(&mut self, params: Value) -> Answer {
        let asked = params_of::<request::Completion>(params)?;
        let (configuration, file, offset) = self.place(&asked.text_document_position)?;
        let cursor = Cursor::new(&configuration, file, offset);
        let sign = asked.context.and_then(|context| context.trigger_character);
        let items = complete::complete(&configuration, &cursor, sign.as_deref());
        told::<request::Completion>(Some(items.into()))
    }

    fn definition(&mut self, params: Value) -> Answer {
        let asked = params_of::<request::GotoDefinition>(params)?;
        let (configuration, file, offset) = self.place(&asked.text_document_position_params)?;
        let places = navigate::definitions(&configuration, file, offset);
        told::<request::GotoDefinition>(Some(navigate::locations(&places, &configuration, &self.workspace).into()))
    }

    fn references(&mut self, params: Value) -> Answer {
        let asked = params_of::<request::References>(params)?;
        let (configuration, file, offset) = self.place(&asked.text_document_position)?;
        let places = navigate::references(&configuration, file, offset, asked.context.include_declaration);
        told::<request::References>(Some(navigate::locations(&places, &configuration, &self.workspace)))
    }

    fn prepare_rename(&mut self, params: Value) -> Answer {
        let asked = params_of::<request::PrepareRenameRequest>(params)?;
        let (configuration, file, offset) = self.place(&asked)?;
        told::<request::PrepareRenameRequest>(navigate::prepare(&configuration, file, offset))
    }

    fn rename(&mut self, params: Value) -> Answer {
        let asked = params_of::<request::Rename>(params)?;
        let (configuration, file, offset) = self.place(&asked.text_document_position)?;
        match navigate::rename(&self.workspace, &configuration, file, offset, &asked.new_name) {
            Ok(edit) => told::<request::Rename>(Some(edit)),
            Err(why) => Err(wrong(ErrorCode::RequestFailed, why)),
        }
    }

    fn symbols(&mut self, params: Value) -> Answer {
        let asked = params_of::<request::DocumentSymbolRequest>(params)?;
        let (_, configuration, file) = self.find(&asked.text_document)?;
        told::<request::DocumentSymbolRequest>(Some(symbols::symbols(&configuration, file).into()))
    }

    fn actions(&mut self, params: Value) -> Answer {
        let asked = params_of::<request::CodeActionRequest>(params)?;
        let (_, configuration, file) = self.find(&asked.text_document)?;
        let actions = actions::actions(&configuration, file, asked.range, &self.workspace);
        told::<request::CodeActionRequest>(Some(actions))
    }

    fn tokens(&mut self, params: Value) -> Answer {
        let asked = params_of::<request::SemanticTokensFullRequest>(params)?;
        let (_, configuration, file) = self.find(&asked.text_document)?;
        told::<request::SemanticTokensFullRequest>(Some(tokens::tokens(&configuration, file).into()))
    }
}

fn read<N: notification::Notification>(params: Value) -> Option<N::Params> {
    serde_json::from_value(params).ok()
}

fn params_of<R: request::Request>(params: Value) -> Result<R::Params, ResponseError> {
    serde_json::from_value(params).map_err(|error| wrong(ErrorCode::InvalidParams, error.to_string()))
}

fn told<R: request::Request>(result: R::Result) -> Answer {
    serde_json::to_value(result).map_err(|error| wrong(ErrorCode::InternalError, error.to_string()))
}

fn wrong(code: ErrorCode, message: String) -> ResponseError {
    ResponseError { code: code as i32, message, data: None }
}
