// A list that the broker sorts, filters and divides into pages: what is asked for, and the controls
// above it.
//
// The management UI's own controls have handlers within the markup, which a strict content security
// policy forbids, and there may be one list to a page.

// `sort`: the column it is sorted by at first, the largest value on top.
function make_listing(name, path, sort) {
    return {name: name, path: path, sort: sort, reverse: true,
            page: 1, page_size: 100, filter: '', regex: false};
}

function listing_path(listing) {
    var parameters = {page: listing.page, page_size: listing.page_size,
                      sort: listing.sort, sort_reverse: listing.reverse};
    if (listing.filter !== '') {
        parameters.name = listing.filter;
        parameters.use_regex = listing.regex;
    }
    return listing.path + '?' + Object.keys(parameters).map(function(key) {
        return key + '=' + encodeURIComponent(parameters[key]);
    }).join('&');
}

// A page that is not there any more, since something was deleted or filtered, is no error.
function load_listing(listing) {
    return request('GET', listing_path(listing)).then(function(answer) {
        if (answer.status === 400 && listing.page > 1) {
            listing.page = 1;
            return load_listing(listing);
        }
        return answer;
    });
}

// Nothing to list, and not because of a filter.
function is_empty(answer) {
    return answer.ok && answer.body.total_count === 0;
}

// What the controls show. They stay when the broker refuses a filter: it has to be corrected.
function pages_of(answer) {
    return answer.ok ? answer.body :
        {page: 1, page_count: 1, item_count: 0, filtered_count: 0, total_count: 0, items: []};
}

function sort_listing(listing, column) {
    listing.reverse = listing.sort === column ? !listing.reverse : false;
    listing.sort = column;
    listing.page = 1;
}

// What was entered into the controls. Returns whether it makes a difference.
function read_controls(listing, element) {
    var before = listing_path(listing);
    var value = element.type === 'checkbox' ? element.checked : element.value;
    switch (element.getAttribute('data-control')) {
    case 'page':
        listing.page = Number(value);
        break;
    case 'page_size':
        listing.page_size = Math.min(500, Math.max(1, Math.floor(Number(value)) || 100));
        listing.page = 1;
        break;
    case 'filter':
        listing.filter = value.trim();
        listing.page = 1;
        break;
    case 'regex':
        listing.regex = value;
        listing.page = 1;
        break;
    }
    return listing_path(listing) !== before;
}
