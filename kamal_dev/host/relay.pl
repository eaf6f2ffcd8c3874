# Pass each connection to the socket DIRECTORY/n on to the n-th TARGET (`host:port`): relay.pl DIRECTORY TARGET...
# Ends with stdin. Perl, because every Debian and Ubuntu has it; nothing but its base is used.
use strict;
use warnings;
use Socket qw(:all);

my ($directory, @targets) = @ARGV;
$SIG{CHLD} = $SIG{PIPE} = 'IGNORE';
$SIG{TERM} = $SIG{INT} = sub { exit };
my @doors = map { door("$directory/$_") } 0 .. $#targets;
$| = 1;
print "ready\n";

while (1) {
    my $readable = '';
    vec($readable, fileno $_, 1) = 1 for \*STDIN, @doors;
    next if select($readable, undef, undef, undef) < 1;
    exit if vec($readable, fileno STDIN, 1) && !sysread STDIN, my $beat, 512;
    for my $n (grep { vec $readable, fileno $doors[$_], 1 } 0 .. $#doors) {
        accept my $client, $doors[$n] or next;
        my $child = fork;
        serve($client, $targets[$n]) if defined $child && !$child;
    }
}

sub door {
    my ($path) = @_;
    socket my $door, AF_UNIX, SOCK_STREAM, 0 or die "socket: $!\n";
    bind $door, pack_sockaddr_un($path) or die "$path: $!\n";
    listen $door, SOMAXCONN or die "$path: $!\n";
    return $door;
}

# Two processes per connection, so that neither direction waits for the other.
sub serve {
    my ($client, $target) = @_;
    my $server = reach($target =~ /^(.*):(\d+)$/);
    if (!$server) {
        print STDERR "no answer from $target\n";
        exit 1;
    }
    fork ? copy($client, $server) : copy($server, $client);
    exit;
}

# Servers of today listen on either loopback.
sub reach {
    my ($host, $port) = @_;
    for my $name ($host eq 'localhost' ? ('127.0.0.1', '::1') : $host) {
        my ($error, @found) = getaddrinfo($name, $port, {socktype => SOCK_STREAM});
        for my $address (@found) {
            socket my $server, $address->{family}, $address->{socktype}, $address->{protocol} or next;
            return $server if connect $server, $address->{addr};
        }
    }
    return;
}

sub copy {
    my ($from, $to) = @_;
    while (sysread $from, my $data, 65536) {
        while (length $data) {
            my $sent = syswrite $to, $data or return;
            substr $data, 0, $sent, '';
        }
    }
    shutdown $to, SHUT_WR;
}
