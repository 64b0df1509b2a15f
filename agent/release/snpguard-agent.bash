# bash completion for snpguard-agent

_snpguard_agent() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W "status report update confirm version help" -- "$cur")
    return
  fi
  case ${COMP_WORDS[1]}:$prev in
    report:--out) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    report:--nonce) ;;
    report:*) mapfile -t COMPREPLY < <(compgen -W "--nonce --out" -- "$cur") ;;
    update:*) mapfile -t COMPREPLY < <(compgen -W "--check --reboot --again" -- "$cur") ;;
    status:*) mapfile -t COMPREPLY < <(compgen -W "--json" -- "$cur") ;;
  esac
}
complete -F _snpguard_agent snpguard-agent
