// Where users, groups and hosts are looked up by a program that is linked statically.
#pragma once

namespace hot_backup {

// To be called before the C library is asked for a name. Without shared libraries it still loads
// those that nsswitch.conf lists (systemd's, LDAP's), which were made for another C library, and
// crashes in them. From here on it only reads /etc/passwd, /etc/group and /etc/hosts, and asks the
// DNS. Changes nothing in a program that is linked dynamically.
void use_own_name_services();

}  // namespace hot_backup
