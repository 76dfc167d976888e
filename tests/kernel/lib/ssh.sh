# SPDX-License-Identifier: GPL-3.0-or-later
# ssh to this machine itself: a real client and a real sshd, with a pipe between them in place of a network.

# start_ssh [FORCED COMMAND]: sets $rsh to a remote shell that leads to root on any host. Needs own_etc first.
start_ssh() {
    local dir=/run/ssh
    mkdir -p $dir /run/sshd
    ssh-keygen -q -t ed25519 -N '' -f $dir/host
    ssh-keygen -q -t ed25519 -N '' -f $dir/key
    echo "restrict${1:+,command=\"$1\"} $(<$dir/key.pub)" >$dir/authorized_keys
    # Whatever the host says of root, it may log in here, with keys.
    echo 'root:x:0:0:root:/run/tmp:/bin/bash' >$dir/passwd
    grep -v '^root:' /etc/passwd >>$dir/passwd
    echo 'root:*:19000:0:99999:7:::' >$dir/shadow
    cp $dir/passwd /etc/passwd
    cp $dir/shadow /etc/shadow
    cat >$dir/sshd_config <<END
HostKey $dir/host
AuthorizedKeysFile $dir/authorized_keys
PermitRootLogin yes
PasswordAuthentication no
StrictModes no
UsePAM no
PidFile none
SetEnv PATH=$PATH
END
    cat >$dir/config <<END
Host *
    User root
    IdentityFile $dir/key
    IdentitiesOnly yes
    StrictHostKeyChecking no
    UserKnownHostsFile /dev/null
    LogLevel ERROR
    ProxyCommand /usr/sbin/sshd -i -f $dir/sshd_config
END
    rsh="ssh -F $dir/config"
}
