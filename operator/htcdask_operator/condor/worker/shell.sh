# Makes this shell plain whatever the image's environment brought to it: options (a traced shell would print the
# key), functions named as programs and builtins are, aliases, variables. The user's variables never come here.
POSIXLY_CORRECT=1 # now no function stands before a special builtin, such as the next two
\set +aekmuvxC -f
\unset -f set unset builtin unalias compgen
IFS=$' \t\n'
\builtin unalias -a
\unset POSIXLY_CORRECT
\builtin set +o posix
for htcdask_function in $(\builtin compgen -A function); do \builtin unset -f "$htcdask_function"; done
unset "${!htcdask_@}"
