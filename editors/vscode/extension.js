// Starts `rp lsp`, which does all the work.
const { workspace } = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

function activate(context) {
    const server = { command: workspace.getConfiguration("proxyfile").get("rp", "rp"), args: ["lsp"] };
    // Imported files may bear any name: what changes beside a Proxyfile is read again.
    const watcher = workspace.createFileSystemWatcher("**/{Proxyfile,*.proxyfile,*.conf}");
    context.subscriptions.push(watcher);
    client = new LanguageClient("proxyfile", "Proxyfile", server, {
        documentSelector: [{ language: "proxyfile" }],
        synchronize: { fileEvents: watcher },
    });
    return client.start();
}

function deactivate() {
    return client?.stop();
}

module.exports = { activate, deactivate };
