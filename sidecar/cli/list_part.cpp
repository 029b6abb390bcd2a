#include "sidecar/cli/list_part.hpp"

namespace hot_backup {

Error unknown_column(const std::string& column, const std::string& known) {
    return {ErrorCode::usage, "cannot sort by \"" + column + "\": the list has no such column",
            "Its columns are " + known + "."};
}

}  // namespace hot_backup
