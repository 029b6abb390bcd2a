// The properties of a message as AMQP 0-9-1 encodes them: two bytes of flags, then a field for each
// flag. They are passed on as the bytes they came in, so that nothing of them can get lost; only
// headers that the source's queue adds for its consumers are looked at and taken out.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hot_backup {

// The properties without these headers; a table of headers that has no other goes with them. Throws
// Error (failed) when the bytes are no properties.
std::string without_headers(std::string_view properties,
                            const std::vector<std::string_view>& headers);

}  // namespace hot_backup
