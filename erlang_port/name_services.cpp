#include "erlang_port/name_services.hpp"

#ifdef HOT_BACKUP_STATIC
#include <nss.h>
#endif

namespace hot_backup {

void use_own_name_services() {
#ifdef HOT_BACKUP_STATIC
    // These two are part of the C library itself (since 2.34).
    static const bool chosen = ::__nss_configure_lookup("passwd", "files") == 0 &&
                               ::__nss_configure_lookup("group", "files") == 0 &&
                               ::__nss_configure_lookup("hosts", "files dns") == 0;
    static_cast<void>(chosen);
#endif
}

}  // namespace hot_backup
