complete -c snpguard-agent -f
complete -c snpguard-agent -n __fish_use_subcommand -a status -d 'how this boot was attested'
complete -c snpguard-agent -n __fish_use_subcommand -a report -d 'a fresh attestation report'
complete -c snpguard-agent -n __fish_use_subcommand -a version -d 'the version of this program'
complete -c snpguard-agent -n __fish_use_subcommand -a help -d 'a summary'
complete -c snpguard-agent -n '__fish_seen_subcommand_from status' -l json -d 'print JSON'
complete -c snpguard-agent -n '__fish_seen_subcommand_from report' -l nonce -x -d '16 to 64 bytes as hexadecimal digits or base64'
complete -c snpguard-agent -n '__fish_seen_subcommand_from report' -l out -r -F -d 'file to write the report to'
