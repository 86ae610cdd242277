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
  local htcdask_path
  for htcdask_path in "$PATH" "$htcdask_user_path"; do
    if htcdask_program=$(find_program "$htcdask_path" dask); then
      htcdask_command=(worker)
    elif ! htcdask_program=$(find_program "$htcdask_path" dask-worker); then
      continue
    fi
    readonly htcdask_program htcdask_command
    return
  done
  fail "there is no dask in this image (PATH=$PATH)"
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

main() {
  local -r htcdask_name=$1
  local htcdask_scratch=${_CONDOR_SCRATCH_DIR:-} htcdask_defaults=() htcdask_status htcdask_again
  trap end_worker TERM INT HUP
  umask 077
  cd / || fail "cannot enter /" # an execute node's /var/tmp, where HTCondor starts jobs, is everybody's
  # HTCondor names a scratch folder even where the container does not show it; /tmp is private there.
  [[ $htcdask_scratch == /* && -d $htcdask_scratch && -w $htcdask_scratch ]] || htcdask_scratch=/tmp
  [ -d "${TMPDIR:-/}" ] || htcdask_defaults=(
    "TMPDIR=$htcdask_scratch" "TMP=$htcdask_scratch" "TEMP=$htcdask_scratch"
  )
  choose_program
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
  keep "$htcdask_work/htcdask_worker.py" "$htcdask_worker_preload"
  htcdask_options+=(--preload "$htcdask_work/htcdask_worker.py")
  if [ -n "$htcdask_nanny_preload" ]; then
    keep "$htcdask_work/htcdask_nanny.py" "$htcdask_nanny_preload"
    htcdask_options+=(--preload-nanny "$htcdask_work/htcdask_nanny.py")
  fi
  readonly htcdask_options
  cd "$htcdask_work" || fail "cannot enter $htcdask_work"
  env "${htcdask_defaults[@]}" "${htcdask_environment[@]}" \
    "$htcdask_program" "${htcdask_command[@]}" "$htcdask_scheduler" \
    --name "$htcdask_name" "${htcdask_options[@]}" \
    --tls-ca-file "$htcdask_secrets/dask.crt" --tls-cert "$htcdask_secrets/dask.crt" \
    --tls-key "$htcdask_secrets/dask.pem" --local-directory "$htcdask_work" \
    < /dev/null > "$htcdask_work/log" 2>&1 &
  htcdask_child=$!
  readonly htcdask_child
  [ -z "${htcdask_ending:-}" ] || end_worker # it came while the worker was starting
  while true; do
    wait "$htcdask_child"
    htcdask_status=$?
    kill -0 "$htcdask_child" 2> /dev/null || break # else it was a signal that ended the waiting
  done
  # It was such a signal's number, perhaps, and the worker ended just after: bash still knows with what.
  if [ "$htcdask_status" -gt 128 ]; then
    wait "$htcdask_child"
    htcdask_again=$?
    [ "$htcdask_again" -eq 127 ] || htcdask_status=$htcdask_again
  fi
  if [ "$htcdask_status" -ne 0 ]; then
    say "ended with $htcdask_status; its last lines:"
    tail -c 32768 "$htcdask_work/log"
  fi
  return "$htcdask_status"
}

main "$@"
exit
