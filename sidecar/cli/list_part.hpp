// The part of a long list that the operator wants to see: filtered, sorted, cut.
//
// It is chosen here, not by whoever shows it: a page of a browser, and the broker between, then
// never hold more than what is on the page.
#pragma once

#include "erlang_port/error.hpp"
#include "sidecar/cli/arguments.hpp"
#include "sidecar/cli/text_filter.hpp"

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hot_backup {

template <class Item>
struct Column {
    std::string_view name;
    bool (*less)(const Item&, const Item&);
};

template <class Item>
struct ListPart {
    std::size_t total = 0;    // of the whole list
    std::size_t matched = 0;  // by the filter
    std::vector<Item> items;  // those to show
};

// The Error usage for a column that a list does not have.
Error unknown_column(const std::string& column, const std::string& known);

template <class Item>
void sort_by(std::vector<Item>& items, std::span<const Column<Item>> columns,
             const ListArguments& wanted) {
    const auto column =
        std::find_if(columns.begin(), columns.end(),
                     [&](const Column<Item>& known) { return known.name == wanted.sort; });
    if (column == columns.end()) {
        std::string known;
        for (const auto& one : columns) {
            known += (known.empty() ? "" : ", ") + std::string(one.name);
        }
        throw unknown_column(wanted.sort, known);
    }
    std::stable_sort(items.begin(), items.end(), [&](const Item& a, const Item& b) {
        return wanted.reverse ? column->less(b, a) : column->less(a, b);
    });
}

// `name_of` gives what the filter is compared with. What is equal in the column keeps its order.
template <class Item, class NameOf>
ListPart<Item> part_of(std::vector<Item> items, std::span<const Column<Item>> columns,
                       NameOf&& name_of, const ListArguments& wanted) {
    ListPart<Item> part;
    part.total = items.size();
    if (!wanted.filter.empty()) {
        const TextFilter filter(
            wanted.filter, wanted.regex ? TextFilter::Syntax::regex : TextFilter::Syntax::text);
        std::erase_if(items, [&](const Item& item) { return !filter.matches(name_of(item)); });
    }
    part.matched = items.size();
    if (!wanted.sort.empty()) {
        sort_by(items, columns, wanted);
    }
    const auto begin = std::min<std::uint64_t>(wanted.offset, items.size());
    const auto count =
        std::min<std::uint64_t>(wanted.limit.value_or(items.size()), items.size() - begin);
    const auto first = std::make_move_iterator(items.begin() + static_cast<std::ptrdiff_t>(begin));
    part.items.assign(first, first + static_cast<std::ptrdiff_t>(count));
    return part;
}

}  // namespace hot_backup
