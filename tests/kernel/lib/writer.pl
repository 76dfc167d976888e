# SPDX-License-Identifier: GPL-3.0-or-later
# writer.pl DIRECTORY: keeps changing the files of a directory until there is a file writer-stop. Twenty-one rounds do each of
# three things to each of seven files.
#
# One process, as a shell would need more for each round, and no modules: it also runs where there are none, not even `strict`.

# As in <fcntl.h>: O_RDWR | O_CREAT; O_TRUNC; O_SYNC, with which a write returns when it and its metadata are on the device.
my ($write, $truncate, $synchronous) = (0102, 01000, 04010000);

my ($directory) = @ARGV;

sub rest { select undef, undef, undef, $_[0] }

sub note {
    my ($name) = @_;
    open my $file, '>', $name or die "$name: $!\n";
}

# put NAME FLAGS DATA: from the beginning of the file, in one write.
sub put {
    my ($name, $flags, $data) = @_;
    sysopen my $file, $name, $flags or die "$name: $!\n";
    my $written = syswrite $file, $data;
    die "$name: $!\n" unless defined $written && $written == length $data;
    close $file or die "$name: $!\n";
}

open my $random, '<:raw', '/dev/urandom' or die "/dev/urandom: $!\n";
read $random, my $bytes, 32000;
my $data = unpack 'H*', $bytes;

for (my $round = 0; !-e 'writer-stop'; $round++) {
    if (-e 'writer-pause') {
        note('writer-paused');
        rest(0.02) while -e 'writer-pause';
        unlink 'writer-paused' or die "writer-paused: $!\n";
    }
    my $file = "$directory/file-" . $round % 7;
    if ($round % 3 == 0) {
        put($file, $write | $truncate, "$round " . $data x 3);
    } elsif ($round % 3 == 1) {
        put($file, $write | $synchronous, "$round " . substr $data, $round % 16, 20000);
    } else {
        unlink $file;
    }
    # Who reads this while it is written sees this number or the one before: none gets shorter.
    put('writer-rounds', $write, $round + 1 . "\n");
    rest(0.03);
}
