# Runs one Dask worker. Read as standard input by `bash -s NAME`, after shell.sh and the variables that bundle.py
# writes. All in functions: a stream that ends too early runs nothing.
# The user's variables are words of `env` for the worker alone: this shell never has one of them.

# The operator shows only what bears the worker's name: another text is not what this job printed.
say() {
  echo "htcdask: worker $htcdask_name on $HOSTNAME $*"
}

fail() {
  say "ended: $*" >&2
  exit 1
}

# A folder that only this job's account can enter; inside a container, only this job.
private_folder() {
  mktemp -d "$1/htcdask.XXXXXX" || fail "cannot make a folder in $1"
}

# The path of program $2 in the folders of the search path $1; those that are no absolute paths may be anybody's.
find_program() {
  local htcdask_folder IFS=:
  for htcdask_folder in $1; do
    [[ $htcdask_folder == /* && -f $htcdask_folder/$2 && -x $htcdask_folder/$2 ]] || continue
    printf '%s\n' "$htcdask_folder/$2"
    return
  done
  return 1
}

# The image's dask, or else that of the search path which the user gives to the worker.
choose_program() {
  for htcdask_path in "$PATH" "$htcdask_user_path"; do
    if htcdask_program=$(find_program "$htcdask_path" dask); then
      htcdask_command=(worker)
    elif ! htcdask_program=$(find_program "$htcdask_path" dask-worker); then
      continue
    fi
    readonly htcdask_program htcdask_command htcdask_path
    return
  done
  fail "there is no dask in this image (PATH=$PATH)${htcdask_user_path:+, nor in the PATH that the pool\
's environment sets, which may be another machine's: leave it out, or choose an image with dask}"
}

# The Python that runs dask, as the first line of its program names it, or else that of its folder.
# `#!/usr/bin/env python` asks the search path, which is the user's: dask then runs by the Python beside it.
find_python() {
  local htcdask_line htcdask_words htcdask_beside=${htcdask_program%/*}:$htcdask_path
  IFS= read -r -n 1024 htcdask_line < "$htcdask_program" 2> /dev/null
  htcdask_words=(${htcdask_line#\#!})
  case ${htcdask_words[0]:-}/${htcdask_words[1]:-} in
    */env/python*)
      htcdask_python=$(find_program "$htcdask_beside" "${htcdask_words[1]}") ||
        fail "$htcdask_program cannot run: its Python, ${htcdask_words[1]}, is not in this image (PATH=$PATH)"
      htcdask_runner=("$htcdask_python")
      ;;
    */python*/*)
      htcdask_python=${htcdask_words[0]}
      [ -x "$htcdask_python" ] ||
        fail "$htcdask_program cannot run: its Python, $htcdask_python, is not in this image"
      ;;
    *)
      htcdask_python=$(find_program "$htcdask_beside" python3) ||
        htcdask_python=$(find_program "$htcdask_beside" python)
      ;;
  esac
  readonly htcdask_python htcdask_runner
}

# Dask would say no more than that it timed out, or that its nanny failed. An end that is no verdict (142 is its
# alarm's, while a name is looked up) leaves it to Dask.
check_scheduler() {
  [ -n "$htcdask_python" ] || return 0
  keep "$htcdask_work/htcdask_check.py" "$htcdask_scheduler_check"
  env "${htcdask_defaults[@]}" "${htcdask_environment[@]}" \
    "$htcdask_python" -I -S "$htcdask_work/htcdask_check.py" "$htcdask_secrets/dask.crt" \
    "$htcdask_secrets/dask.pem" < /dev/null > "$htcdask_work/check" 2> /dev/null &
  await_end $!
  [ -z "${htcdask_ending:-}" ] || exit 143
  [ "$htcdask_status" -ne 69 ] && [ "$htcdask_status" -ne 142 ] || fail "$(tail -n 1 "$htcdask_work/check")"
}

# A successor holds its slot until the worker in whose place it comes has retired, at $1 by the clock: the scheduler
# would send away whoever is one too many. No longer than a successor ever waits, whatever this machine's clock says:
# a quarter of a lifetime, ten minutes, and what a retirement takes.
await_turn() {
  local htcdask_now htcdask_left htcdask_most=$((${htcdask_lifetime:-0} / 4 + 60))
  printf -v htcdask_now '%(%s)T' -1
  htcdask_left=$(($1 - htcdask_now))
  [ "$htcdask_left" -gt 0 ] || return 0
  htcdask_most=$((htcdask_most < 660 ? htcdask_most : 660))
  sleep "$((htcdask_left < htcdask_most ? htcdask_left : htcdask_most))" < /dev/null &
  await_end $!
  [ -z "${htcdask_ending:-}" ] || exit 143
}

# When the worker retires by itself, counted from the job's start: the operator works out the same (lifetime.py). A
# moment and no duration, as the nanny may restart the worker's process.
set_retirement() {
  local htcdask_slot=${htcdask_name: -3} htcdask_seconds htcdask_now
  [ -n "$htcdask_lifetime" ] || return 0
  [[ $htcdask_slot =~ ^[0-9a-z]+$ ]] || htcdask_slot=0
  htcdask_seconds=$((htcdask_lifetime - htcdask_stagger
    + 2 * htcdask_stagger * (36#$htcdask_slot * 618034 % 1000000) / 1000000 - SECONDS))
  printf -v htcdask_now '%(%s)T' -1
  printf 'RETIRES_AT = %d\n' "$((htcdask_now + htcdask_seconds))" >> "$htcdask_work/preload/htcdask_worker.py" ||
    fail "cannot write in $htcdask_work"
}

# File $1 with the text $2, readable by this account alone.
keep() {
  printf '%s\n' "$2" > "$1" || fail "cannot write $1"
}

clean() {
  rm -rf -- "${htcdask_secrets:-$htcdask_work}" "$htcdask_work"
}

# Signals go to this shell, which ends when the worker has ended: handed on to it, or kept until it is there.
end_worker() {
  htcdask_ending=yes
  [ -z "${htcdask_child:-}" ] || kill -TERM "$htcdask_child" 2> /dev/null
}

# The status of process $1, a child of this shell, once it has ended.
await_end() {
  local htcdask_again
  htcdask_child=$1
  [ -z "${htcdask_ending:-}" ] || end_worker # it came while the child was starting
  while true; do
    wait "$htcdask_child"
    htcdask_status=$?
    kill -0 "$htcdask_child" 2> /dev/null || break # else it was a signal that ended the waiting
  done
  # It was such a signal's number, perhaps, and the child ended just after: bash still knows with what.
  if [ "$htcdask_status" -gt 128 ]; then
    wait "$htcdask_child"
    htcdask_again=$?
    [ "$htcdask_again" -eq 127 ] || htcdask_status=$htcdask_again
  fi
  htcdask_child=
} 2> /dev/null # the shell's own words about a child that was killed

main() {
  local -r htcdask_name=$1 htcdask_turn=${2:-0}
  local htcdask_scratch=${_CONDOR_SCRATCH_DIR:-} htcdask_defaults=() htcdask_status htcdask_tail=
  SECONDS=0 # whatever the environment says
  trap end_worker TERM INT HUP
  umask 077
  cd / || fail "cannot enter /" # an execute node's /var/tmp, where HTCondor starts jobs, is everybody's
  # HTCondor names a scratch folder even where the container does not show it; /tmp is private there.
  [[ $htcdask_scratch == /* && -d $htcdask_scratch && -w $htcdask_scratch ]] || htcdask_scratch=/tmp
  [ -d "${TMPDIR:-/}" ] || htcdask_defaults=(
    "TMPDIR=$htcdask_scratch" "TMP=$htcdask_scratch" "TEMP=$htcdask_scratch"
  )
  choose_program
  find_python
  # Not local: the EXIT trap outlives this function.
  htcdask_work=$(private_folder "$htcdask_scratch") || exit 1
  readonly htcdask_work
  trap clean EXIT
  # A container's /dev/shm is its own, and memory: the key is then on no disk.
  if [ -n "${APPTAINER_CONTAINER:-}${SINGULARITY_CONTAINER:-}" ] && [ -w /dev/shm ]; then
    htcdask_secrets=$(private_folder /dev/shm) || exit 1
  fi
  readonly htcdask_secrets=${htcdask_secrets:-$htcdask_work}
  keep "$htcdask_secrets/dask.crt" "$htcdask_certificate"
  keep "$htcdask_secrets/dask.pem" "$htcdask_key"
  unset htcdask_certificate htcdask_key
  # Dask copies preloads to its local directory, and older ones fail where they are there already.
  mkdir "$htcdask_work/preload" || fail "cannot make a folder in $htcdask_work"
  keep "$htcdask_work/preload/htcdask_worker.py" "$htcdask_worker_preload"
  htcdask_options+=(--preload "$htcdask_work/preload/htcdask_worker.py")
  if [ -n "$htcdask_nanny_preload" ]; then
    keep "$htcdask_work/preload/htcdask_nanny.py" "$htcdask_nanny_preload"
    htcdask_options+=(--preload-nanny "$htcdask_work/preload/htcdask_nanny.py")
  fi
  cd "$htcdask_work" || fail "cannot enter $htcdask_work"
  await_turn "$htcdask_turn"
  check_scheduler
  set_retirement
  readonly htcdask_options
  env "${htcdask_defaults[@]}" "${htcdask_environment[@]}" \
    "${htcdask_runner[@]}" "$htcdask_program" "${htcdask_command[@]}" "$htcdask_scheduler" \
    --name "$htcdask_name" "${htcdask_options[@]}" \
    --tls-ca-file "$htcdask_secrets/dask.crt" --tls-cert "$htcdask_secrets/dask.crt" \
    --tls-key "$htcdask_secrets/dask.pem" --local-directory "$htcdask_work" \
    < /dev/null > "$htcdask_work/log" 2>&1 &
  await_end $!
  [ "$htcdask_status" -ne 0 ] || htcdask_tail=6144 # nobody looks for a cause; 4 KiB are shown, in whole lines
  say "ended with $htcdask_status; its last lines:"
  tail -c "${htcdask_tail:-32768}" "$htcdask_work/log"
  return "$htcdask_status"
}

main "$@"
exit
