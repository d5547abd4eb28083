-- Proxyfiles in Neovim 0.8 or newer: copy this to ~/.config/nvim/plugin/proxyfile.lua. `rp` must be on the path.
vim.filetype.add({
  filename = { Proxyfile = "proxyfile" },
  extension = { proxyfile = "proxyfile" },
  -- Files that are imported by another name:
  -- pattern = { [".*/sites/.*%.conf"] = "proxyfile" },
})

vim.api.nvim_create_autocmd("FileType", {
  pattern = "proxyfile",
  callback = function(event)
    vim.bo[event.buf].commentstring = "# %s"
    vim.bo[event.buf].expandtab = true
    vim.bo[event.buf].shiftwidth = 4
    local name = vim.api.nvim_buf_get_name(event.buf)
    local root = vim.fs.find("Proxyfile", { path = vim.fs.dirname(name), upward = true })[1]
    vim.lsp.start({
      name = "rp",
      cmd = { "rp", "lsp" },
      root_dir = vim.fs.dirname(root or name),
    }, { bufnr = event.buf })
    if vim.fn.exists("&omnifunc") == 1 then
      vim.bo[event.buf].omnifunc = "v:lua.vim.lsp.omnifunc"
    end
    vim.api.nvim_create_autocmd("BufWritePre", {
      buffer = event.buf,
      callback = function()
        vim.lsp.buf.format({ bufnr = event.buf, timeout_ms = 2000 })
      end,
    })
  end,
})
