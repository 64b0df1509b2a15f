#compdef snpguard-agent

local -a commands=(
  'status:how this boot was attested'
  'report:a fresh attestation report'
  'update:fetch a release for an installed kernel'
  'confirm:say that the release has booted completely'
  'version:the version of this program'
  'help:a summary'
)

if ((CURRENT == 2)); then
  _describe command commands
  return
fi
case $words[2] in
  update) _arguments '--check[only ask]' '--reboot[reboot at once]' '--again[also take a release that did not come up]' ;;
  status) _arguments '--json[print JSON]' ;;
  report) _arguments '--nonce[16 to 64 bytes as hexadecimal digits or base64]:nonce:' '--out[file to write the report to]:file:_files' ;;
esac
