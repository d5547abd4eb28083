# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_rp_global_optspecs
    string join \n h/help V/version
end

function __fish_rp_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_rp_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_rp_using_subcommand
    set -l cmd (__fish_rp_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c rp -n "__fish_rp_needs_command" -s h -l help -d 'Print help'
complete -c rp -n "__fish_rp_needs_command" -s V -l version -d 'Print version'
complete -c rp -n "__fish_rp_needs_command" -f -a "run" -d 'Serve what a Proxyfile says'
complete -c rp -n "__fish_rp_needs_command" -f -a "validate" -d 'Check a Proxyfile: exit code 0 if it is clean, 1 if it has errors'
complete -c rp -n "__fish_rp_needs_command" -f -a "adapt" -d 'Print a configuration as JSON, with its defaults and with the place of each value'
complete -c rp -n "__fish_rp_needs_command" -f -a "diff" -d 'Show what changes in meaning from one configuration to another: exit code 0 if nothing does, 1 if something does'
complete -c rp -n "__fish_rp_needs_command" -f -a "explain" -d 'Show what a configuration does with a request, without sending anything'
complete -c rp -n "__fish_rp_needs_command" -f -a "test" -d 'Try out what a configuration must do, without a network'
complete -c rp -n "__fish_rp_needs_command" -f -a "fmt" -d 'Put Proxyfiles into their one canonical form'
complete -c rp -n "__fish_rp_needs_command" -f -a "hash" -d 'Hash a password, for `basic_auth`: asks for it, or reads it from standard input'
complete -c rp -n "__fish_rp_needs_command" -f -a "reload" -d 'Tell the running process to put its Proxyfile in force: exit code 0 if it is, 1 if it was refused'
complete -c rp -n "__fish_rp_needs_command" -f -a "status" -d 'Show what the running process does'
complete -c rp -n "__fish_rp_needs_command" -f -a "certs" -d 'Show the certificates of the running process, or those in storage where none runs'
complete -c rp -n "__fish_rp_needs_command" -f -a "storage" -d 'Move what is kept to another storage, or lay it aside'
complete -c rp -n "__fish_rp_needs_command" -f -a "serve" -d 'Serve a folder without a Proxyfile'
complete -c rp -n "__fish_rp_needs_command" -f -a "proxy" -d 'Proxy to a server without a Proxyfile'
complete -c rp -n "__fish_rp_needs_command" -f -a "trust" -d 'Make this machine trust the certificates that rp makes for `localhost` and private names'
complete -c rp -n "__fish_rp_needs_command" -f -a "untrust" -d 'Take that trust back'
complete -c rp -n "__fish_rp_needs_command" -f -a "lsp" -d 'Serve an editor: findings as you type, completion, explanations, names that can be followed'
complete -c rp -n "__fish_rp_needs_command" -f -a "help" -d 'Explain a command, a directive, a matcher or a finding'
complete -c rp -n "__fish_rp_using_subcommand run" -l no-watch -d 'Put a changed file in force only when told to, by `rp reload` or SIGHUP'
complete -c rp -n "__fish_rp_using_subcommand run" -s v -l verbose -d 'More of the runtime log: -v for debug, -vv for trace'
complete -c rp -n "__fish_rp_using_subcommand run" -s h -l help -d 'Print help'
complete -c rp -n "__fish_rp_using_subcommand run" -s V -l version -d 'Print version'
complete -c rp -n "__fish_rp_using_subcommand validate" -l format -r -f -a "text\t'For people'
json\t'For programs'
sarif\t'For code scanning: SARIF 2.1.0'
github\t'For GitHub Actions: annotations'"
complete -c rp -n "__fish_rp_using_subcommand validate" -l deny -d '`--deny warnings` makes every warning an error' -r -f -a "warnings\t''"
complete -c rp -n "__fish_rp_using_subcommand validate" -l no-files -d 'Judge the text alone, not the certificates, keys and folders that it names: for a machine that has none of them'
complete -c rp -n "__fish_rp_using_subcommand validate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rp -n "__fish_rp_using_subcommand validate" -s V -l version -d 'Print version'
complete -c rp -n "__fish_rp_using_subcommand adapt" -s h -l help -d 'Print help'
complete -c rp -n "__fish_rp_using_subcommand adapt" -s V -l version -d 'Print version'
complete -c rp -n "__fish_rp_using_subcommand diff" -l format -r -f -a "text\t'For people'
json\t'For programs'"
complete -c rp -n "__fish_rp_using_subcommand diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rp -n "__fish_rp_using_subcommand diff" -s V -l version -d 'Print version'
complete -c rp -n "__fish_rp_using_subcommand explain" -l method -d 'The same as a method before the URL' -r
complete -c rp -n "__fish_rp_using_subcommand explain" -s H -l header -d 'A field of the request, as `Name: value`; may be given many times' -r
complete -c rp -n "__fish_rp_using_subcommand explain" -l from -d 'The address that the connection comes from' -r
complete -c rp -n "__fish_rp_using_subcommand explain" -l body -d 'The size of the request\'s body, such as 10MiB' -r
complete -c rp -n "__fish_rp_using_subcommand explain" -l reply -d 'What the server would answer, where the request goes to one' -r
complete -c rp -n "__fish_rp_using_subcommand explain" -s c -l config -d 'The configuration' -r -F
complete -c rp -n "__fish_rp_using_subcommand explain" -l http2 -d 'Ask over HTTP/2'
complete -c rp -n "__fish_rp_using_subcommand explain" -l json -d 'For programs'
complete -c rp -n "__fish_rp_using_subcommand explain" -s h -l help -d 'Print help'
complete -c rp -n "__fish_rp_using_subcommand explain" -s V -l version -d 'Print version'
complete -c rp -n "__fish_rp_using_subcommand test" -l only -d 'Only those whose name has this in it' -r
complete -c rp -n "__fish_rp_using_subcommand test" -l format -r -f -a "text\t'For people'
junit\t'For CI: JUnit\'s XML'"
complete -c rp -n "__fish_rp_using_subcommand test" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rp -n "__fish_rp_using_subcommand test" -s V -l version -d 'Print version'
complete -c rp -n "__fish_rp_using_subcommand fmt" -l check -d 'Change nothing: exit with 1 if a file is not in its canonical form'
complete -c rp -n "__fish_rp_using_subcommand fmt" -l diff -d 'Change nothing: show what would change'
complete -c rp -n "__fish_rp_using_subcommand fmt" -s h -l help -d 'Print help'
complete -c rp -n "__fish_rp_using_subcommand fmt" -s V -l version -d 'Print version'
complete -c rp -n "__fish_rp_using_subcommand hash" -s h -l help -d 'Print help'
complete -c rp -n "__fish_rp_using_subcommand hash" -s V -l version -d 'Print version'
complete -c rp -n "__fish_rp_using_subcommand reload" -l socket -d 'The admin socket of the process, where its `admin` option names another one than the default' -r -F
complete -c rp -n "__fish_rp_using_subcommand reload" -s h -l help -d 'Print help'
complete -c rp -n "__fish_rp_using_subcommand reload" -s V -l version -d 'Print version'
complete -c rp -n "__fish_rp_using_subcommand status" -l socket -d 'The admin socket of the process, where its `admin` option names another one than the default' -r -F
complete -c rp -n "__fish_rp_using_subcommand status" -l format -r -f -a "text\t'For people'
json\t'For programs'"
complete -c rp -n "__fish_rp_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rp -n "__fish_rp_using_subcommand status" -s V -l version -d 'Print version'
complete -c rp -n "__fish_rp_using_subcommand certs; and not __fish_seen_subcommand_from renew revoke" -l socket -d 'The admin socket of the process, where its `admin` option names another one than the default' -r -F
complete -c rp -n "__fish_rp_using_subcommand certs; and not __fish_seen_subcommand_from renew revoke" -l storage -d 'The storage folder itself, whatever runs' -r -F
complete -c rp -n "__fish_rp_using_subcommand certs; and not __fish_seen_subcommand_from renew revoke" -l format -r -f -a "text\t'For people'
json\t'For programs'"
complete -c rp -n "__fish_rp_using_subcommand certs; and not __fish_seen_subcommand_from renew revoke" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rp -n "__fish_rp_using_subcommand certs; and not __fish_seen_subcommand_from renew revoke" -s V -l version -d 'Print version'
complete -c rp -n "__fish_rp_using_subcommand certs; and not __fish_seen_subcommand_from renew revoke" -a "renew" -d 'Have the running process ask for a name\'s certificate now: exit code 0 if it came, 1 if it did not'
complete -c rp -n "__fish_rp_using_subcommand certs; and not __fish_seen_subcommand_from renew revoke" -a "revoke" -d 'Have a name\'s certificate taken back, and ask for another one: exit code 0 if both are done, 1 if not'
complete -c rp -n "__fish_rp_using_subcommand certs; and __fish_seen_subcommand_from renew" -l socket -d 'The admin socket of the process, where its `admin` option names another one than the default' -r -F
complete -c rp -n "__fish_rp_using_subcommand certs; and __fish_seen_subcommand_from renew" -l force -d 'Though the one that is shown is good for longer: authorities give only so many a week'
complete -c rp -n "__fish_rp_using_subcommand certs; and __fish_seen_subcommand_from renew" -s h -l help -d 'Print help'
complete -c rp -n "__fish_rp_using_subcommand certs; and __fish_seen_subcommand_from renew" -s V -l version -d 'Print version'
complete -c rp -n "__fish_rp_using_subcommand certs; and __fish_seen_subcommand_from revoke" -l reason -d 'Why: everybody may read it' -r -f -a "unspecified\t''
key-compromise\t''
affiliation-changed\t''
superseded\t''
cessation-of-operation\t''"
complete -c rp -n "__fish_rp_using_subcommand certs; and __fish_seen_subcommand_from revoke" -l socket -d 'The admin socket of the process, where its `admin` option names another one than the default' -r -F
complete -c rp -n "__fish_rp_using_subcommand certs; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help'
complete -c rp -n "__fish_rp_using_subcommand certs; and __fish_seen_subcommand_from revoke" -s V -l version -d 'Print version'
complete -c rp -n "__fish_rp_using_subcommand storage; and not __fish_seen_subcommand_from export import" -s h -l help -d 'Print help'
complete -c rp -n "__fish_rp_using_subcommand storage; and not __fish_seen_subcommand_from export import" -s V -l version -d 'Print version'
complete -c rp -n "__fish_rp_using_subcommand storage; and not __fish_seen_subcommand_from export import" -f -a "export" -d 'Write accounts, certificates, keys and rp\'s own authority to a file, which its owner alone can read'
complete -c rp -n "__fish_rp_using_subcommand storage; and not __fish_seen_subcommand_from export import" -f -a "import" -d 'Put what was exported into the storage, over what is there under the same names'
complete -c rp -n "__fish_rp_using_subcommand storage; and __fish_seen_subcommand_from export" -l storage -d 'The storage folder itself' -r -F
complete -c rp -n "__fish_rp_using_subcommand storage; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help'
complete -c rp -n "__fish_rp_using_subcommand storage; and __fish_seen_subcommand_from export" -s V -l version -d 'Print version'
complete -c rp -n "__fish_rp_using_subcommand storage; and __fish_seen_subcommand_from import" -l storage -d 'The storage folder itself' -r -F
complete -c rp -n "__fish_rp_using_subcommand storage; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help'
complete -c rp -n "__fish_rp_using_subcommand storage; and __fish_seen_subcommand_from import" -s V -l version -d 'Print version'
complete -c rp -n "__fish_rp_using_subcommand serve" -l listen -d 'Where to listen; `:8080` lets other machines in' -r
complete -c rp -n "__fish_rp_using_subcommand serve" -l browse -d 'List folders that have no index.html'
complete -c rp -n "__fish_rp_using_subcommand serve" -l print -d 'Write the Proxyfile that this stands for to standard output, and serve nothing'
complete -c rp -n "__fish_rp_using_subcommand serve" -s v -l verbose -d 'More of the runtime log: -v for debug, -vv for trace'
complete -c rp -n "__fish_rp_using_subcommand serve" -s h -l help -d 'Print help'
complete -c rp -n "__fish_rp_using_subcommand serve" -s V -l version -d 'Print version'
complete -c rp -n "__fish_rp_using_subcommand proxy" -l from -d 'Where to listen: `:8080` lets other machines in, `127.0.0.1:8080` does not' -r
complete -c rp -n "__fish_rp_using_subcommand proxy" -l to -d 'Where requests go; given several times, they take turns' -r
complete -c rp -n "__fish_rp_using_subcommand proxy" -l print -d 'Write the Proxyfile that this stands for to standard output, and serve nothing'
complete -c rp -n "__fish_rp_using_subcommand proxy" -s v -l verbose -d 'More of the runtime log: -v for debug, -vv for trace'
complete -c rp -n "__fish_rp_using_subcommand proxy" -s h -l help -d 'Print help'
complete -c rp -n "__fish_rp_using_subcommand proxy" -s V -l version -d 'Print version'
complete -c rp -n "__fish_rp_using_subcommand trust" -l storage -d 'The storage folder itself' -r -F
complete -c rp -n "__fish_rp_using_subcommand trust" -s h -l help -d 'Print help'
complete -c rp -n "__fish_rp_using_subcommand trust" -s V -l version -d 'Print version'
complete -c rp -n "__fish_rp_using_subcommand untrust" -l storage -d 'The storage folder itself' -r -F
complete -c rp -n "__fish_rp_using_subcommand untrust" -s h -l help -d 'Print help'
complete -c rp -n "__fish_rp_using_subcommand untrust" -s V -l version -d 'Print version'
complete -c rp -n "__fish_rp_using_subcommand lsp" -l stdio -d 'Speak over standard input and output: the only way there is, so it need not be said'
complete -c rp -n "__fish_rp_using_subcommand lsp" -s h -l help -d 'Print help'
complete -c rp -n "__fish_rp_using_subcommand lsp" -s V -l version -d 'Print version'
complete -c rp -n "__fish_rp_using_subcommand help" -s h -l help -d 'Print help'
complete -c rp -n "__fish_rp_using_subcommand help" -s V -l version -d 'Print version'
