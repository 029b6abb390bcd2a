// Requests to the API of this plugin.
//
// The management UI has its own, but takes an answer such as 409 or 503 for the end of the page;
// here each is something to show.

// Answers {ok, status, body, text, error: {message, hint}}; the status of a broker that cannot be
// reached is 0.
function request(method, path, body) {
    var options = {method: method, headers: {'content-type': 'application/json'}};
    var authorization = authorization_of_session();
    if (authorization) options.headers.authorization = authorization;
    if (body !== undefined) options.body = JSON.stringify(body);
    return fetch('api/hot-backup' + path, options).then(read_answer, function() {
        return failure(0, {reason: 'the broker cannot be reached'});
    });
}

// The management UI before 3.11, and since.
function authorization_of_session() {
    return typeof authorization_header === 'function' ? authorization_header() : auth_header();
}

function read_answer(response) {
    return response.text().then(function(text) {
        var body = parse_json(text);
        return response.ok ? {ok: true, status: response.status, body: body, text: text} :
            failure(response.status, body);
    }, function() {
        return failure(0, {reason: 'the broker\'s answer was cut off'});
    });
}

function parse_json(text) {
    try {
        return JSON.parse(text);
    } catch (e) {
        return undefined;
    }
}

function failure(status, body) {
    var message = body && (body.reason || body.error) || 'the broker answered with ' + status;
    return {
        ok: false, status: status, body: body,
        error: {message: fmt_value(message), hint: body && body.hint || ''}
    };
}

function path_of(id, rest) {
    return '/backups/' + encodeURIComponent(id) + (rest || '');
}

// All of them at once: {name: answer} for {name: path}.
function get_all(paths) {
    var names = Object.keys(paths);
    return Promise.all(names.map(function(name) {
        return request('GET', paths[name]);
    })).then(function(answers) {
        var result = {};
        names.forEach(function(name, index) {
            result[name] = answers[index];
        });
        return result;
    });
}

// In the management UI's own popup. An error's text comes from anywhere: it is escaped.
function show_error(error) {
    show_popup('warn', escape_html(error.message) +
               (error.hint ? '<br/><br/>' + escape_html(error.hint) : ''));
}
