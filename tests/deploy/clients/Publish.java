import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

/** Publishes with Java's own HTTP client, which by default offers an upgrade to HTTP/2 (h2c) with each request. */
public class Publish {
    public static void main(String[] args) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        for (int number = 0; number < 5; number++) {
            String body = "{\"channel\":\"doc:java\",\"event\":\"tick\",\"payload\":" + number + "}";
            HttpRequest request = HttpRequest.newBuilder(URI.create(args[0] + "/v1/publish"))
                    .header("Authorization", "Bearer " + args[1])
                    .POST(HttpRequest.BodyPublishers.ofString(body))
                    .build();
            HttpResponse<String> response = client.send(request, HttpResponse.BodyHandlers.ofString());
            System.out.println(response.statusCode() + " " + response.body());
        }
    }
}
