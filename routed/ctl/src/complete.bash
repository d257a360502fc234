# bash takes a line apart at every colon, so that unix:PATH is three words: they are put together again.
_catalystctl() {
    local words=() last=-1 current=0 at word
    for ((at = 0; at < ${#COMP_WORDS[@]}; at++)); do
        word=${COMP_WORDS[at]}
        if ((last > 0)) && [[ $word == : || ${COMP_WORDS[at - 1]} == : ]]; then
            words[last]+=$word
        else
            words[++last]=$word
        fi
        ((at == COMP_CWORD)) && current=$last
    done
    local COMP_WORDS=("${words[@]}") COMP_CWORD=$current
    word=${COMP_WORDS[COMP_CWORD]}
    _clap_complete_catalystctl "$1" "$word" "$3"
    # Only what stands behind the last colon is replaced.
    local before=${word%"${word##*:}"}
    COMPREPLY=("${COMPREPLY[@]#"$before"}")
}
